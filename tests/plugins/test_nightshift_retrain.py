"""The branch: what retrain decided is what the DAG follows, and its XCom says it."""

from __future__ import annotations

import importlib
from types import SimpleNamespace

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import DownstreamTasksSkipped


@pytest.fixture
def branch(airflow_variables, monkeypatch):
    """`branch(decision)`: (what the task pushed, the tasks that it skipped)."""
    retrain = importlib.import_module("nightshift.retrain")
    steps = importlib.import_module("nightshift.steps")
    tasks = importlib.import_module("nightshift.tasks")
    with DAG("a_night", schedule=None) as dag:
        task = retrain.retrain_task("fraud")
        train, champion = tasks.step_task("fraud", "train"), retrain.champion_task()
        task >> [train, champion]
        train >> champion

    def run(decision):
        done = {"manifest": "fraud/retrain/2018-07-10", "decision": decision}
        monkeypatch.setattr(steps.StepOperator, "execute", lambda self, context: done)
        pushed, passed_by = {}, []
        ti = SimpleNamespace(
            task=task, map_index=-1, xcom_push=lambda key, value: pushed.update({key: value})
        )
        try:
            assert task.execute({"ti": ti}) == done
        except DownstreamTasksSkipped as skipped:
            passed_by = [name for name, _ in skipped.tasks]
        assert dag.task_ids
        assert pushed["return_value"] == done, "whoever reads the decision finds it in either case"
        return passed_by

    return run


def test_a_night_that_trains_passes_nothing_by(branch):
    assert branch("train") == []


def test_a_night_that_keeps_its_champion_passes_training_by_and_nothing_else(branch):
    assert branch("keep") == ["train"]
