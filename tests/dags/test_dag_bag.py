"""The DAGs parse quickly, match the snapshot, and survive a round trip through the database."""

from __future__ import annotations

import ast
import json
import sys

import pytest
import yaml

import dag_bag
from jobs.core import schedule
from jobs.core.settings import PROJECT, SOURCE, Settings

HEAVY = frozenset(
    {
        "chdb",
        "clickhouse_connect",
        "dvc",
        "evidently",
        "matplotlib",
        "mlflow",
        "pandas",
        "psycopg2",
        "pyarrow",
        "pyspark",
        "redis",
        "scipy",
        "sklearn",
        "xgboost",
    }
)
# Of Airflow's that it has not imported anyway: most are its schedule's, branch's and sensor's.
MODULES = 25
OURS = ("jobs", "nightshift", "unusual_prefix_")  # Airflow loads a DAG file under that prefix


def test_every_file_is_a_dag_without_errors(bag):
    assert bag["import_errors"] == {}
    assert sorted(bag["dags"]) == sorted(path.stem for path in (PROJECT / "dags").glob("*.py"))


def test_the_plugin_is_loaded_without_errors(bag):
    assert bag["plugin_errors"] == {}
    assert "nightshift" in bag["plugins"]


def test_dags_and_edges_are_those_of_the_snapshot(bag):
    assert dag_bag.snapshot(bag) == json.loads(dag_bag.SNAPSHOT.read_text()), (
        "if this change is meant: python tests/dag_bag.py"
    )


def test_nothing_is_lost_by_serialisation(bag):
    for name, dag in bag["dags"].items():
        again = bag["again"][name]
        assert {key: dag[key] for key in again} | {"tasks": None} == again | {"tasks": None}
        for task, facts in again["tasks"].items():
            assert {key: dag["tasks"][task][key] for key in facts} == facts, f"{name}.{task}"
        assert again["tasks"].keys() == dag["tasks"].keys()


def test_parsing_imports_little_and_nothing_heavy(bag):
    further = [*bag["parsed_modules"], *bag["plugin_modules"]]
    assert [module for module in further if module.split(".")[0] in HEAVY] == []
    foreign = [module for module in further if not module.startswith(OURS)]
    assert len(foreign) <= MODULES, "\n".join(foreign)


@pytest.mark.parametrize(
    "path", sorted((PROJECT / "dags").glob("*.py")), ids=lambda path: path.stem
)
def test_a_dag_file_imports_airflows_sdk_and_ours_alone(path):
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add("." * node.level + (node.module or ""))
    ours = {name for name in names if name.startswith("nightshift.")}
    assert ours
    assert names - ours - set(sys.stdlib_module_names) <= {"airflow.sdk"}


def test_where_a_person_has_to_approve_the_night_waits_between_gate_and_promote(
    bag, tmp_path, monkeypatch
):
    params = yaml.safe_load((PROJECT / "params.yaml").read_text())
    params["fraud"]["promote"] = {"approval": "manual", "timeout_hours": 2}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    monkeypatch.setenv("NIGHTSHIFT_PARAMS", str(tmp_path / "params.yaml"))
    asking = dag_bag.parse()
    assert asking["import_errors"] == {}
    assert (
        dag_bag.snapshot(asking)["movie_recommendations"]
        == dag_bag.snapshot(bag)["movie_recommendations"]
    )
    tasks, others = (each["dags"]["fraud_scores"]["tasks"] for each in (asking, bag))
    assert tasks.keys() - others.keys() == {"approve"} and "approve" not in others
    assert tasks["gate"]["downstream"] == ["approve", "champion", "watcher"]
    assert tasks["approve"]["downstream"] == ["promote", "watcher"]
    assert tasks["promote"]["downstream"] == ["watcher"], "the day's tables wait for nobody"
    assert tasks["approve"]["has_retry_policy"] and 0 < tasks["approve"]["timeout_s"] <= 600
    assert "docs/runbook.md#an-approval-is-awaited" in tasks["approve"]["doc_md"]


def test_a_wrong_section_costs_its_step_not_the_whole_dag(bag, tmp_path, monkeypatch):
    params = yaml.safe_load((PROJECT / "params.yaml").read_text())
    params["fraud"]["promote"] = {"approval": "perhaps"}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    monkeypatch.setenv("NIGHTSHIFT_PARAMS", str(tmp_path / "params.yaml"))
    assert dag_bag.snapshot(dag_bag.parse()) == dag_bag.snapshot(bag)


def test_where_the_schedule_is_off_nothing_starts_by_itself(bag, monkeypatch):
    monkeypatch.delenv(SOURCE, raising=False)
    off = dag_bag.parse(
        lambda home: schedule.switch_off(Settings(home, home / "params.yaml"), "a test")
    )
    assert {name for name, dag in bag["dags"].items() if not dag["starts_by_itself"]} == {
        "rollback"
    }
    assert {name for name, dag in off["dags"].items() if dag["starts_by_itself"]} == set()
    assert dag_bag.snapshot(off) == dag_bag.snapshot(bag)
