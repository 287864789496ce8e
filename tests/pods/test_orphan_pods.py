"""Pods that nobody waits for go; those that a try will take up, and fresh evidence, stay."""

from __future__ import annotations

import importlib
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from nights import DAY

# Each takes seconds; without the kubernetes tests, one of a kind is enough.
MORE = [
    pytest.param(state, marks=pytest.mark.kubernetes)
    for state in ("running", "deferred", "queued", None)
]
GONE = [pytest.param(states, marks=pytest.mark.kubernetes) for states in ({"train": "success"}, {})]


@pytest.fixture
def sweep(pods, cluster):
    """`sweep(states)`: run the task on a pod of train; its run has these states."""
    place, task = pods("train")
    task.die_after_asking()
    orphans = importlib.import_module("nightshift.orphans")
    params = importlib.import_module("jobs.core.pods").kubernetes(place.home / "params.yaml")

    def run(states, dry_run=False):
        ti = SimpleNamespace(
            get_task_states=lambda dag_id, run_ids: {each: states for each in run_ids if states}
        )
        context = {
            "ti": ti,
            "params": {"dry_run": dry_run},
            "dag_run": SimpleNamespace(run_type="manual"),
        }
        return orphans.OrphanPods.execute.__wrapped__(
            orphans.OrphanPods(task_id="orphan_pods", cluster=params), context
        )

    return run


@pytest.mark.parametrize("state", ["up_for_retry", *MORE])
def test_a_pod_that_a_try_waits_for_or_will_take_up_stays(sweep, cluster, state):
    assert sweep({"train": state}) == {"pods": 1, "gone": 0}
    assert cluster.pods[0].exists


@pytest.mark.parametrize("states", [{"train": "failed"}, *GONE], ids=str)
def test_a_pod_whose_task_is_over_goes(sweep, cluster, states):
    pod = cluster.await_pod()
    assert sweep(states, dry_run=True) == {"pods": 1, "gone": 1}
    assert pod.exists and "deletionTimestamp" not in pod.object["metadata"]
    assert sweep(states) == {"pods": 1, "gone": 1}
    pod.await_gone()


@pytest.mark.kubernetes
def test_a_failed_pod_is_kept_for_some_days(sweep, cluster, monkeypatch):
    pod = cluster.await_pod()
    pod.await_phase("Running")
    pod.out_of_memory()
    pod.await_phase("Failed")
    assert sweep({"train": "failed"}) == {"pods": 1, "gone": 0}
    ends = importlib.import_module("nightshift.orphans")
    monkeypatch.setattr(ends, "ended_at", lambda pod: datetime.now(UTC) - timedelta(days=8))
    assert sweep({"train": "failed"}) == {"pods": 1, "gone": 1}


@pytest.mark.kubernetes
def test_pods_of_others_are_not_looked_at(sweep, cluster):
    pod = cluster.await_pod()
    assert str(DAY) in pod.name
    cluster.store.update(
        "pods",
        pod.name,
        lambda manifest: manifest["metadata"]["labels"].pop("app.kubernetes.io/name"),
    )
    assert sweep({"train": "failed"}) == {"pods": 0, "gone": 0}
