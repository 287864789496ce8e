"""The night with NIGHTSHIFT_RUNNER=kubernetes: a real scheduler, the double of the cluster.

It ends as if training were a process.
"""

from __future__ import annotations

import os
import signal
import time

import pytest

from cluster_double import Cluster
from jobs.core.settings import PROJECT
from nights import DAY
from platform_under_test import DAG, gone, kill
from pod_world import connect, image

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def cluster():
    with Cluster(image(), PROJECT) as double:
        yield double


@pytest.fixture(scope="module")
def platform(scheduled, cluster, services, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cluster")
    with scheduled(
        "extract", lambda place: connect(cluster, place, folder, services.mlflow)
    ) as platform:
        yield platform


@pytest.fixture(scope="module")
def run(platform):
    """The run of the night, over."""
    return platform.night(DAY)


def ended_well(platform, run, night):
    state, tasks = platform.finish(run)
    assert state == "success" and set(tasks.values()) == {"success"}, platform.logs(run)
    assert platform.place.digests() == night["end"].digests
    return True


@pytest.fixture
def training(platform, run, cluster):
    """Train is cleared, its next pod runs and stands still; `training` is that pod."""
    before = len(cluster.pods)
    with platform.api("oncall") as api:
        api.clear(DAG, run, "train")
    pod = cluster.await_pod(before + 1, limit_s=120)
    pod.await_phase("Running")
    os.kill(pod.process.pid, signal.SIGSTOP)
    yield pod
    if pod.process.poll() is None:
        os.kill(pod.process.pid, signal.SIGCONT)


def test_the_night_ends_with_the_digests_of_one_without_pods(platform, run, night, cluster):
    assert ended_well(platform, run, night)
    (pod,) = cluster.pods
    assert pod.labels["nightshift/attempt"] == platform.place.manifest("train").attempt
    with platform.api() as api:
        path = f"dags/{DAG}/dagRuns/{run}/taskInstances/train/xcomEntries/return_value"
        pushed = api.call("GET", path)["value"]
        assert "judged on the holdout" in api.log(DAG, run, "train")
    assert pushed["model"] == platform.place.manifest("train").model_digest


def test_a_pod_whose_worker_and_scheduler_died_is_taken_up_again(
    platform, run, night, cluster, training
):
    before = len(cluster.pods)
    leader = platform.component("scheduler").leader
    kill(leader)
    assert gone(leader)
    platform.up()
    os.kill(training.process.pid, signal.SIGCONT)
    assert ended_well(platform, run, night)
    assert len(cluster.pods) == before
    assert platform.place.manifest("train").attempt == training.labels["nightshift/attempt"]


def test_a_task_that_is_cleared_under_way_gets_a_pod_after_the_first_has_ended(
    platform, run, night, cluster, training
):
    before, still = len(cluster.pods), []
    cluster.on_create(lambda pod: still.append(training.process.poll() is None))
    with platform.api("oncall") as api:
        api.clear(DAG, run, "train")
    assert ended_well(platform, run, night)
    assert len(cluster.pods) == before + 1 and still == [False]
    assert platform.place.manifest("train").attempt == cluster.pods[-1].labels["nightshift/attempt"]


def test_the_log_of_a_failed_pod_ends_with_what_happened_and_what_to_do(platform, run, cluster):
    cluster.on_create(
        lambda pod: pod.unschedulable("0/3 nodes are available: 3 Insufficient nvidia.com/gpu.")
    )
    with platform.api("oncall") as api:
        api.clear(DAG, run, "train")
        deadline = time.monotonic() + 180
        while (task := api.tasks(DAG, run)["train"]).state != "up_for_retry":
            assert time.monotonic() < deadline, task
            time.sleep(1)
        end = "\n".join(api.log(DAG, run, "train", task.tries).splitlines()[-12:])
        api.mark(DAG, run, "failed")
    assert "did not start: no node takes it: Unschedulable: 0/3 nodes are available" in end, end
    assert "Next: free or add a node" in end and "docs/runbook.md#a-pod-does-not-start" in end
    for pod in cluster.pods:
        pod.await_gone()
