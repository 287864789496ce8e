"""Training resumes from its checkpoint when its pod dies, to the same model as without a kill."""

from __future__ import annotations

import random
import re
import sys

import pytest

from jobs.core.failpoint import VARIABLE
from pod_world import ENDPOINTS, NAMESPACE, apply_params, endpoints

ROUNDS, SEGMENT = 400, 25
LONG = {
    "n_estimators": ROUNDS,
    "early_stopping_rounds": ROUNDS,
    "validation_days": 2,
    "max_depth": 6,
    "subsample": 0.7,
    "colsample_bytree": 0.6,
    "refit": False,
    "checkpoint_rounds": SEGMENT,
}
KILLS = sorted(random.Random(5).sample(range(1, ROUNDS), 10))

pytestmark = pytest.mark.kubernetes


@pytest.fixture
def training(pods, cluster):
    """`training()`: (place, task) of a training that takes seconds; each `pods` starts another."""

    def make():
        place, task = pods("train")
        place.set_params(train=LONG)
        apply_params(cluster, place)
        return place, task

    return make


@pytest.fixture
def die_at(cluster, services):
    """`die_at(place, 12)`: from now on pods die at that round of boosting; 0: no longer."""

    def tell(place, kill):
        failpoint = {VARIABLE: f"train.fit.{kill}"} if kill else {}
        cluster.config_map(NAMESPACE, ENDPOINTS, endpoints(place, services.mlflow) | failpoint)

    return tell


def boosted(pod):
    """Rounds that the pod boosted, and the seconds that it took for them."""
    seconds = [
        float(found)
        for found in re.findall(r"boosted stage=fit rounds=\d+ seconds=([\d.]+)", pod.log)
    ]
    begun = re.search(r"resumed stage=fit rounds=(\d+)", pod.log)
    return ROUNDS - int(begun[1]) if begun else ROUNDS, sum(seconds)


@pytest.mark.timeout(900)
def test_killed_at_ten_random_rounds_it_ends_in_the_same_model(training, cluster, die_at, capsys):
    place, task = training()
    undisturbed = task.attempt()["model"]
    rounds, seconds = boosted(cluster.pods[-1])
    lines = [f"undisturbed                {rounds:4} rounds in {seconds:5.2f} s"]
    for kill in KILLS:
        place, task = training()
        die_at(place, kill)
        assert "killed" in str(task.attempt())
        die_at(place, 0)
        assert task.attempt()["model"] == undisturbed
        again, seconds = boosted(cluster.pods[-1])
        assert again == ROUNDS - (kill - 1) // SEGMENT * SEGMENT
        lines.append(f"killed at {kill:4}, the retry {again:4} rounds in {seconds:5.2f} s")
        assert place.manifest("train").model_digest == undisturbed
    with capsys.disabled():
        sys.stdout.write("\n".join(["", *lines, ""]))


def test_told_to_end_it_leaves_a_checkpoint_and_says_so(training, cluster):
    _, task = training()
    undisturbed = task.attempt()["model"]
    _, task = training()
    join = task.start()
    pod = cluster.await_pod(2)
    pod.await_log("boosted", limit_s=60)
    task.operator.on_kill()  # SIGTERM, and the grace period
    join()
    match = re.search(
        r"stopped by SIGTERM after (\d+) of 400 rounds of fit, which are kept", pod.log
    )
    assert match, pod.log
    assert task.attempt()["model"] == undisturbed
    assert boosted(cluster.pods[-1])[0] == ROUNDS - int(match[1])


def test_a_checkpoint_of_other_parameters_is_not_used(training, cluster, die_at):
    place, task = training()
    die_at(place, 200)
    assert "killed" in str(task.attempt())
    die_at(place, 0)
    place.set_params(train=LONG | {"max_depth": 5})
    apply_params(cluster, place)
    assert isinstance(task.attempt(), dict)
    assert boosted(cluster.pods[-1])[0] == ROUNDS


def test_a_damaged_checkpoint_is_reported_and_passed_over(training, cluster, die_at):
    place, task = training()
    undisturbed = task.attempt()["model"]
    place, task = training()
    die_at(place, 90)
    assert "killed" in str(task.attempt())
    die_at(place, 0)
    checkpoints = (place.home / "lake" / "fraud" / "checkpoints").rglob("fit-*.ubj")
    newest = max(checkpoints, key=lambda file: file.stat().st_mtime_ns)  # of this training
    assert "-000075-" in newest.name
    newest.write_bytes(newest.read_bytes()[:-1])
    assert task.attempt()["model"] == undisturbed
    assert "skipped a damaged checkpoint" in cluster.pods[-1].log
    assert boosted(cluster.pods[-1])[0] == ROUNDS - 50
