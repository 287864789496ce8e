"""An event is emitted when its thing happened, for the day, and only then."""

from __future__ import annotations

import importlib
from types import SimpleNamespace

import pytest
from airflow.sdk.execution_time.context import OutletEventAccessors

DAY = "2018-07-10"
LEFT = {"manifest": f"fraud/x/{DAY}", "rows": {"scores": 7}, "model": "a" * 64}


@pytest.fixture
def events(airflow_variables):
    return importlib.import_module("nightshift.events")


@pytest.fixture
def emitted(events):
    """What a task of the step sends on success with this XCom: {(asset, partition key): extra}."""

    def run(step, key=DAY, form=None, **more):
        task = SimpleNamespace(outlets=events.outlets("fraud", step))
        context = {
            "ti": SimpleNamespace(task=task),
            "dag_run": SimpleNamespace(partition_key=key),
            "params": {"date": form},
            "outlet_events": OutletEventAccessors(),
        }
        events.emit("fraud", step, context, LEFT | more)
        sent = {}
        for asset in task.outlets:
            event = context["outlet_events"][asset]
            sent |= {(asset.name, key): event.extra for key in event.partition_keys}
        return sent

    return run


@pytest.mark.parametrize(
    ("step", "more", "event", "version"),
    [
        ("validate", {}, "data.ingested", None),
        ("build_features", {}, "features.computed", None),
        ("train", {}, "model.trained", "a" * 64),
        ("promote", {"verdict": "promoted", "promoted": True}, "model.promoted", "a" * 64),
        (
            "publish",
            {"version": "20180710-x", "served_version": "20180710-x"},
            "predictions.published",
            "20180710-x",
        ),
    ],
)
def test_a_step_says_what_it_did(emitted, step, more, event, version):
    extra = {"pipeline": "fraud", "date": DAY, "version": version, "rows": {"scores": 7}}
    assert emitted(step, **more) == {(f"fraud.{event}", DAY): extra}


def test_the_day_of_the_form_is_the_partition_key_too(emitted):
    assert list(emitted("validate", key=None, form=DAY)) == [("fraud.data.ingested", DAY)]


@pytest.mark.parametrize(
    ("step", "more"),
    [
        ("promote", {"verdict": "rejected", "promoted": False}),
        (
            "promote",
            {"verdict": "promoted", "promoted": False},
        ),  # a rollback of the same date outranks it
        (
            "publish",
            {"version": "20180710-x", "served_version": "20180711-y"},
        ),  # an older day, or a withdrawn one
        ("publish", {"version": "20180710-x", "served_version": None}),
        ("verify", {}),
    ],
)
def test_what_did_not_happen_is_not_said(emitted, step, more):
    assert emitted(step, **more) == {}


def test_a_step_that_says_nothing_leaves_the_dags_own_task_as_it_is(events):
    """The next try, and the other runs, still have the outlet."""
    shared = events.outlets("fraud", "promote")
    task = SimpleNamespace(outlets=shared)
    events.emit(
        "fraud", "promote", {"ti": SimpleNamespace(task=task)}, LEFT | {"verdict": "rejected"}
    )
    assert task.outlets == [] and len(shared) == 1
