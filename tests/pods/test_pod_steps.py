"""A step as a pod: what counts as success, what a failure reports, no two trainings at once."""

from __future__ import annotations

import asyncio
import importlib
import os
import signal

import pytest

from cluster_double import Pod
from nights import DAY

NAMED = "fraud/train/2018-04-14"


def ends_with(error, *words, kind="StepFailed"):
    """The task log's last lines are the error's: what happened to the pod, then what to do."""
    assert type(error).__name__ == kind, error
    text = getattr(error, "text", str(error))
    assert all(word in text for word in words), text
    assert "Next: " in text.splitlines()[-1] or "Next: " in text.splitlines()[-2], text


def undisturbed(place, night):
    """Whether the night equals one in which training was an undisturbed process."""
    return place.lake_digests() == {
        name: digest for name, digest in night["gate"].digests.items() if name.startswith("fraud/")
    }


@pytest.fixture
def trained(pods, cluster, night):
    """`trained(task)`: the next try succeeds, equals an undisturbed night and leaves no pod."""

    def check(place, task):
        result = task.attempt()
        assert isinstance(result, dict), result
        assert undisturbed(place, night)
        cluster.pods[-1].await_gone()
        return result

    return check


def test_a_pod_leaves_what_a_process_leaves(pods, cluster, trained):
    place, task = pods("train")
    result = trained(place, task)
    manifest = place.manifest("train")
    assert result == {"manifest": NAMED, "rows": result["rows"], "model": manifest.model_digest}
    said = {
        asset.name: (event.partition_keys, event.extra["version"])
        for asset, event in task.said.items()
    }
    assert said == {"fraud.model.trained": ({str(DAY)}, manifest.model_digest)}
    (pod,) = cluster.pods
    assert pod.labels["nightshift/attempt"] == manifest.attempt
    assert pod.labels["nightshift/date"] == str(DAY)
    assert {path.split("/")[4] for _, path in cluster.requests} == {"nightshift-jobs"}


def test_a_step_that_says_what_must_be_mended_is_not_tried_again(pods, cluster):
    _, task = pods("snapshot")
    ends_with(
        task.attempt(),
        "snapshot has not run for 2018-04-14",
        "run these days first",
        kind="PermanentFailure",
    )
    (pod,) = cluster.pods
    assert pod.exists and pod.labels["already_checked"] == "True"


@pytest.mark.parametrize(
    ("die", "said"),
    [
        (Pod.out_of_memory, ("out of memory (limit 4Gi)", "raise the memory")),
        pytest.param(
            lambda pod: pod.evict("The node was low on resource: ephemeral-storage."),
            ("evicted", "ephemeral-storage", "resumes from the last checkpoint"),
            marks=pytest.mark.kubernetes,
        ),
        pytest.param(
            lambda pod: pod.delete(grace_s=0),
            ("is gone and left no manifest", "resumes from the last checkpoint"),
            marks=pytest.mark.kubernetes,
        ),
    ],
    ids=["out of memory", "evicted", "deleted"],
)
def test_a_pod_that_dies_is_explained_and_followed_by_another(pods, cluster, trained, die, said):
    place, task = pods("train")
    join = task.start()
    cluster.await_pod().await_phase("Running")
    die(cluster.pods[0])
    ends_with(join(), *said)
    trained(place, task)


def test_an_image_that_cannot_be_pulled_is_named(pods, cluster):
    _, task = pods("train")
    cluster.on_create(
        lambda pod: pod.image_pull_backoff("manifest for nightshift-training:0.1.0 not found")
    )
    ends_with(
        task.attempt(),
        "did not start",
        "manifest for nightshift-training:0.1.0 not found",
        "kubernetes.images",
    )
    cluster.pods[0].await_gone()


def test_a_pod_that_no_node_takes_says_why(pods, cluster):
    _, task = pods("train")
    cluster.on_create(
        lambda pod: pod.unschedulable("0/3 nodes are available: 3 Insufficient nvidia.com/gpu.")
    )
    ends_with(task.attempt(), "Unschedulable", "3 Insufficient nvidia.com/gpu", "kubernetes.sizes")
    cluster.pods[0].await_gone()


@pytest.mark.kubernetes
def test_a_missing_secret_is_named(pods, cluster):
    _, task = pods("train", secrets=())
    ends_with(task.attempt(), "did not start", "nightshift-stores")


def cut_logs(cluster):
    for _ in range(3):
        cluster.pods[0].wait_for(lambda: cluster.cut_logs() > 0)


@pytest.mark.kubernetes
@pytest.mark.parametrize(
    "trouble", [cut_logs, lambda cluster: cluster.restart(pause_s=2)], ids=["log", "API"]
)
def test_a_log_that_is_cut_and_an_api_that_restarts_cost_nothing(pods, cluster, night, trouble):
    place, task = pods("train")
    join = task.start()
    cluster.await_pod().await_phase("Running")
    trouble(cluster)
    assert isinstance(join(), dict)
    assert undisturbed(place, night) and len(cluster.pods) == 1


@pytest.mark.kubernetes
def test_a_pod_that_ended_while_the_api_was_away_is_not_run_again(pods, cluster, night):
    place, task = pods("train")
    join = task.start()
    pod = cluster.await_pod()
    pod.await_phase("Running")
    with cluster.away():
        ends_with(join(), "lost sight of", "resumes watching the pod")
        pod.await_phase("Succeeded", limit_s=60)
    assert isinstance(task.attempt(), dict)
    assert undisturbed(place, night) and len(cluster.pods) == 1


def test_a_worker_that_died_finds_its_pod_again(pods, cluster, trained):
    place, task = pods("train")
    task.die_after_asking()
    cluster.await_pod().await_phase("Running")
    trained(place, task)
    assert len(cluster.pods) == 1


@pytest.mark.kubernetes
def test_a_worker_that_died_before_it_could_note_its_pod_finds_it_by_its_labels(
    pods, cluster, trained
):
    place, task = pods("train")
    task.die_after_asking()
    task.kept.clear()
    trained(place, task)
    assert len(cluster.pods) == 1


@pytest.mark.kubernetes
def test_a_pod_that_ended_without_its_worker_is_harvested(pods, cluster, trained):
    place, task = pods("train")
    task.die_after_asking()
    cluster.await_pod().await_phase("Succeeded", limit_s=60)
    trained(place, task)
    assert len(cluster.pods) == 1


@pytest.mark.kubernetes
def test_a_pod_that_failed_without_its_worker_is_explained_once(pods, cluster, trained):
    place, task = pods("train")
    task.die_after_asking()
    cluster.await_pod().await_phase("Running")
    cluster.pods[0].out_of_memory()
    ends_with(task.attempt(), "out of memory")
    trained(place, task)


@pytest.mark.kubernetes
def test_what_a_pod_made_of_a_snapshot_that_has_changed_since_does_not_count(pods, cluster):
    place, task = pods("train")
    task.die_after_asking()
    cluster.await_pod().await_phase("Succeeded", limit_s=60)
    snapshot = place.manifest("snapshot")
    place.lake.commit(snapshot.model_copy(update={"model_digest": "made again, of other days"}))
    assert "which has changed since" in task.attempt().text
    assert isinstance(task.attempt(), dict)
    assert place.manifest("train").reads[snapshot.name] == place.manifest("snapshot").content


@pytest.mark.kubernetes
def test_a_task_that_is_cleared_under_way_waits_for_its_pod_to_end(pods, cluster, trained):
    place, task = pods("train")
    join, ended = task.start(), []
    cluster.await_pod().await_phase("Running")
    cluster.on_create(lambda pod: ended.append(cluster.pods[0].process.poll()))
    task.operator.on_kill()
    assert "is being stopped" in str(join())
    trained(place, task)
    assert len(cluster.pods) == 2 and ended != [None]


@pytest.mark.kubernetes
def test_a_pod_that_may_not_be_made_says_what_refused_it(pods, cluster):
    _, task = pods("train", namespace="elsewhere")
    ends_with(
        task.attempt(),
        "the API server refused the pod",
        "elsewhere",
        "rights of Airflow's service account",
    )


@pytest.mark.kubernetes
def test_a_task_that_is_ended_before_it_has_a_pod_asks_for_none(pods, cluster):
    _, task = pods("train")
    task.die_after_asking()
    first = cluster.await_pod()
    first.await_phase("Running")
    os.kill(first.process.pid, signal.SIGSTOP)  # it does not end before the grace period does
    cluster.delete(first)
    join = task.start()
    first.wait_for(lambda: task.operator is not None)
    task.operator.on_kill()
    assert "was ended" in str(join())
    assert len(cluster.pods) == 1


@pytest.mark.kubernetes
def test_a_result_made_with_other_parameters_does_not_count(pods, cluster):
    place, task = pods("train")
    task.die_after_asking()
    cluster.await_pod().await_phase("Succeeded", limit_s=60)
    place.set_params(train={"max_depth": 3})
    ends_with(task.attempt(), "ran with other parameters than the current ones", "run it again")


@pytest.mark.kubernetes
def test_a_task_that_is_cleared_after_success_trains_again_though_its_pod_stayed(
    pods, cluster, monkeypatch
):
    _, task = pods("train")
    with monkeypatch.context() as patch:
        patch.setattr(
            importlib.import_module("nightshift.pods").PodStepOperator, "_delete", lambda *_: None
        )
        assert isinstance(task.attempt(), dict)
    assert cluster.pods[0].exists
    assert isinstance(task.attempt(), dict)
    assert len(cluster.pods) == 2


@pytest.mark.kubernetes
@pytest.mark.parametrize("problem", ["unschedulable", "image_pull_backoff"])
def test_a_deferred_task_whose_pod_does_not_start_says_why(pods, cluster, problem):
    _, task = pods("train", deferrable=True)
    cluster.on_create(lambda pod: getattr(pod, problem)("there is no such thing"))
    deferred = task.defer()
    ended = task.reenter(asyncio.run(anext(deferred.trigger.run())).payload)
    ends_with(ended, "did not start", "there is no such thing")
    cluster.pods[0].await_gone()


@pytest.mark.kubernetes
@pytest.mark.parametrize("how", ["ends well", "is killed", "is deleted"])
def test_a_deferred_task_goes_on_where_the_trigger_leaves_it(pods, cluster, night, how):
    """Another process resumes with an operator that has only what the DAG file passed to it."""
    place, task = pods("train", deferrable=True)
    deferred = task.defer()
    pod = cluster.await_pod()
    if how != "ends well":
        pod.await_phase("Running")
        {"is killed": pod.out_of_memory, "is deleted": lambda: pod.delete(0)}[how]()
    ended = task.reenter(asyncio.run(anext(deferred.trigger.run())).payload)
    if how == "ends well":
        assert ended["model"] == place.manifest("train").model_digest
        assert undisturbed(place, night)
    else:
        ends_with(ended, {"is killed": "out of memory", "is deleted": "left no manifest"}[how])
