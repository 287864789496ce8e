"""The retrain branch with a real scheduler, and what on-call may press afterwards."""

from __future__ import annotations

import pytest

from jobs.core.steps import NIGHTLY
from nights import AFTER, DAY
from platform_under_test import DAG

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
WAITS = {"features_before", "scores_before"}
ALL = {*NIGHTLY, *WAITS, "champion", "watcher"}
TRAINING = {"train", "gate", "promote"}
ON_DRIFT, DAILY = {"policy": "on_drift"}, {"policy": "daily"}
BLIND = {
    "min_rows": 1_000_000,
    "max_degradation": 0.99,
}  # days too small to be compared with anything


@pytest.fixture(scope="module")
def platform(scheduled):
    """One Airflow for all tests of this module, which run in order."""
    with scheduled("extract") as platform:
        yield platform


@pytest.fixture(scope="module")
def champion(platform):
    """Of the days before."""
    return platform.place.query("SELECT to_digest FROM promotions ORDER BY id DESC LIMIT 1")[0][0]


@pytest.fixture(scope="module")
def run(platform, champion):
    """The run of a night without drift, over."""
    platform.place.set_params(retrain=ON_DRIFT, check_drift=BLIND)
    return platform.night(DAY)


def again(platform, run, task, retrain):
    """The states of the run after on-call has cleared the task with what comes after it."""
    platform.place.set_params(retrain=retrain)
    with platform.api("oncall") as api:
        api.clear(DAG, run, task)
    state, tasks = platform.finish(run)
    assert state == "success", platform.logs(run)
    return tasks


def passed_by(tasks):
    return {task for task, state in tasks.items() if state == "skipped"}


def test_a_night_without_drift_passes_training_by_publishes_by_the_champion_and_is_green(
    platform, run, champion
):
    state, tasks = platform.finish(run)
    assert state == "success", platform.logs(run)
    assert platform.place.manifest("check_drift").facts["judged"]
    assert tasks == dict.fromkeys(ALL, "success") | dict.fromkeys(TRAINING, "skipped")
    assert platform.place.manifest("predict").model_digest == champion
    assert platform.place.serving()["served"][0].startswith(f"{DAY:%Y%m%d}")
    with platform.api() as api:
        path = f"dags/{DAG}/dagRuns/{run}/taskInstances/retrain/xcomEntries/return_value"
        assert api.call("GET", path)["value"]["decision"] == "keep"


def test_training_alone_is_passed_by_again_when_it_is_cleared(platform, run):
    assert passed_by(again(platform, run, "train", ON_DRIFT)) == TRAINING


def test_a_decision_that_changed_trains_when_retrain_is_cleared(platform, run, champion):
    tasks = again(platform, run, "retrain", DAILY)
    assert tasks == dict.fromkeys(ALL, "success")
    assert platform.place.manifest("predict").model_digest not in (None, champion)


def test_and_is_passed_by_once_more_when_it_changes_back(platform, run):
    tasks = again(platform, run, "retrain", ON_DRIFT)
    assert tasks == dict.fromkeys(ALL, "success") | dict.fromkeys(TRAINING, "skipped")


def test_without_a_word_on_drift_the_night_trains_publishes_and_is_red(platform, run):
    platform.place.set_params(retrain=ON_DRIFT)
    with platform.api("oncall") as api:
        red = api.trigger(DAG, AFTER)
    platform.await_task(red, "extract", "success")  # which would refuse it
    platform.place.set_params(check_drift={"nobody_reads_this": 1})
    state, tasks = platform.finish(red)
    assert state == "failed"
    assert tasks == dict.fromkeys(ALL, "success") | {"check_drift": "failed", "watcher": "failed"}
    with platform.api() as api:
        said = api.log(DAG, red, "watcher")
    assert f"check_drift failed. The tables of {AFTER} are still published" in said
    assert "by the challenger of this night" in said
    assert "has not ended" in platform.place.manifest("retrain", AFTER).facts["reasons"]
