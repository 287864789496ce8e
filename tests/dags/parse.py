"""Parse dags/ and write the facts as JSON to a file; tests/dag_bag.py runs it in a new process."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from airflow.configuration import conf
from airflow.dag_processing.dagbag import DagBag
from airflow.plugins_manager import ensure_plugins_loaded, get_import_errors, get_plugin_info
from airflow.sdk import TriggerRule
from airflow.serialization.serialized_objects import DagSerialization
from airflow.timetables.base import TimeRestriction


def main(target: Path) -> None:
    with tempfile.TemporaryDirectory() as empty:
        DagBag(empty)
    modules_before = set(sys.modules)
    bag = DagBag(conf.get("core", "dags_folder"))
    parsed = set(sys.modules) - modules_before
    ensure_plugins_loaded()
    facts = {
        "import_errors": bag.import_errors,
        "parsed_modules": sorted(parsed),
        "plugin_errors": get_import_errors(),
        "plugin_modules": sorted(set(sys.modules) - modules_before - parsed),
        "plugins": [each["name"] for each in get_plugin_info(["name"])],
        "dags": {name: described(dag) for name, dag in bag.dags.items()},
        "again": {name: structure(round_trip(dag)) for name, dag in bag.dags.items()},
    }
    target.write_text(json.dumps(facts, default=str))


def round_trip(dag):
    """The DAG as scheduler and api-server see it: through JSON and back."""
    return DagSerialization.deserialize_dag(
        json.loads(json.dumps(DagSerialization.serialize_dag(dag)))
    )


def described(dag):
    """The structure, and what only the file's own objects tell."""
    facts = structure(dag)
    facts |= {
        "doc_md": dag.doc_md or "",
        "deadlines_s": [each.interval.total_seconds() for each in dag.deadline or ()],
        "defaults": dag.params.dump(),  # none of what a form insists on
        "labels": {
            f"{above} {below}": edge["label"]
            for above, edges in dag.edge_info.items()
            for below, edge in edges.items()
        },
        "starts_by_itself": next_run(round_trip(dag)) is not None,
        "schedule": DagSerialization.serialize_dag(dag)["timetable"]["__var"],
    }
    for name, task in dag.task_dict.items():
        facts["tasks"][name] |= {
            "doc_md": task.doc_md or "",
            "outlets": [asset.name for asset in task.outlets],
            "operator": type(task).__name__,
            "failure_callbacks": [each.__name__ for each in task.on_failure_callback or ()],
            "priority": task.priority_weight,
            "has_retry_policy": task.retry_policy is not None,
        }
    return facts


def next_run(dag):
    """The first run that the scheduler would create."""
    never = TimeRestriction(earliest=None, latest=None, catchup=False)
    return dag.timetable.next_dagrun_info_v2(last_dagrun_info=None, restriction=never)


def structure(dag):
    """What a DAG and its serialised twin must say alike."""
    return {
        "catchup": dag.catchup,
        "max_active_runs": dag.max_active_runs,
        "params": {name: dag.params.get_param(name).schema for name in sorted(dag.params)},
        "tags": sorted(dag.tags),
        "tasks": {name: task_structure(task) for name, task in sorted(dag.task_dict.items())},
    }


def task_structure(task):
    return {
        "group": task.task_group.group_id if task.task_group else None,
        "pool": task.pool,
        "trigger_rule": TriggerRule(task.trigger_rule).value,
        "downstream": sorted(task.downstream_task_ids),
        "owner": task.owner,
        "retries": task.retries,
        "retry_delay_s": task.retry_delay.total_seconds(),
        "backoff": float(task.retry_exponential_backoff),
        "timeout_s": task.execution_timeout.total_seconds() if task.execution_timeout else None,
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
