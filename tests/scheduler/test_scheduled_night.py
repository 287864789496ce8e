"""The whole night by a real scheduler: what it leaves, and what on-call may press afterwards."""

from __future__ import annotations

import pytest

from jobs.core.errors import StoreError
from jobs.core.steps import NIGHTLY
from nights import AFTER, BEFORE, DAY
from platform_under_test import DAG

pytestmark = pytest.mark.timeout(900)
WAITS = {"features_before", "scores_before"}
DECIDED = {
    "retrain": ("decision",),
    "gate": ("verdict",),
    "promote": ("verdict", "promoted"),
    "publish": ("version", "served_version"),
    "verify": ("version",),
}
ALL = {*NIGHTLY, *WAITS, "champion", "watcher"}


@pytest.fixture(scope="module")
def platform(scheduled):
    """One Airflow for all tests of this module, which run in order; the first is the night."""
    with scheduled("extract") as platform:
        yield platform


@pytest.fixture(scope="module")
def run(platform):
    """The run of the night, over."""
    return platform.night(DAY)


def test_the_night_ends_as_an_undisturbed_one(platform, run, night):
    state, tasks = platform.finish(run)
    assert state == "success" and tasks == dict.fromkeys(ALL, "success"), platform.logs(run)
    assert platform.place.digests() == night["end"].digests
    assert platform.leftovers() == []


def test_xcom_carries_names_counts_and_what_was_decided_alone(platform, run):
    with platform.api() as api:
        path = f"dags/{DAG}/dagRuns/{run}/taskInstances"
        xcoms = {
            step: api.call("GET", f"{path}/{step}/xcomEntries/return_value")["value"]
            for step in NIGHTLY
        }
    for step, value in xcoms.items():
        assert value["manifest"] == f"fraud/{step}/{DAY}"
        assert set(value) == {"manifest", "rows", "model", *DECIDED.get(step, ())}
    assert xcoms["retrain"]["decision"] == "train" and xcoms["promote"]["verdict"] == "promoted"
    assert xcoms["publish"]["model"] == platform.place.manifest("publish").model_digest


def test_no_secret_is_in_a_log(platform, run):
    secrets = [
        value
        for value in (platform.place.home / "secrets.json").read_text().split('"')
        if len(value) > 20
    ]
    secrets += [platform.place.postgres.split(":")[2].split("@")[0]]
    assert len(secrets) > 5
    for file in (platform.place.home / "logs").rglob("*.log"):
        text = file.read_text(errors="replace")
        assert not [secret for secret in secrets if secret in text], file


def test_a_finished_task_is_cleared_and_nothing_changes(platform, run, night):
    with platform.api("oncall") as api:
        api.clear(DAG, run, "publish")
    state, _ = platform.finish(run)
    with platform.api() as api:
        tries = {task.name: task.tries for task in api.tasks(DAG, run).values()}
    assert state == "success" and tries["publish"] == tries["verify"] == 2 and tries["predict"] == 1
    assert platform.place.digests() == night["end"].digests


@pytest.fixture(scope="module")
def red(platform, run):
    """The run of AFTER: its training failed, and the wrong parameter is corrected."""
    with platform.api("oncall") as api:
        red = api.trigger(DAG, AFTER)
    platform.await_task(red, "extract", "success")  # which would refuse it
    platform.place.set_params(train={"n_estimators": -1})
    platform.finish(red)
    platform.place.set_params(train={"n_estimators": 20})
    return red


@pytest.mark.slow
@pytest.mark.oncall
def test_a_failed_training_publishes_with_the_champion_and_says_both(platform, red):
    place, champion = platform.place, platform.place.manifest("promote").model_digest
    state, tasks = platform.finish(red)
    with platform.api("oncall") as api:
        said = api.log(DAG, red, "watcher")
        tries = api.tasks(DAG, red)["train"].tries
    assert state == "failed" and tries == 1, "a wrong parameter is not tried again"
    assert tasks == dict.fromkeys(ALL, "success") | {
        "train": "failed",
        "gate": "upstream_failed",
        "promote": "upstream_failed",
        "champion": "upstream_failed",
        "watcher": "failed",
    }, platform.logs(red)
    assert "train failed" in said and f"The tables of {AFTER} are still published" in said
    assert champion and place.manifest("predict", AFTER).model_digest == champion
    served = place.serving()
    assert (
        served["served"][0].startswith(f"{AFTER:%Y%m%d}")
        and served["redis"][0] == served["served"][0]
    )


@pytest.mark.slow
@pytest.mark.oncall
def test_a_training_that_failed_runs_again_and_the_run_is_green(platform, red):
    with platform.api("oncall") as api:
        api.clear(DAG, red, "train")
    state, tasks = platform.finish(red)
    assert state == "success" and set(tasks.values()) == {"success"}, platform.logs(red)


@pytest.mark.slow
@pytest.mark.oncall
def test_an_old_date_again_does_not_take_the_served_one_away(platform, run):
    served = platform.place.serving()
    with platform.api("oncall") as api:
        api.clear(DAG, run, "predict")
    state, _ = platform.finish(run)
    assert state == "success", platform.logs(run)
    assert platform.place.serving()["served"] == served["served"]


@pytest.mark.parametrize(
    ("key", "form", "said"),
    [
        (None, {}, "This run names no day"),
        pytest.param(DAY, {"date": str(BEFORE)}, "The partition key says", marks=pytest.mark.slow),
        pytest.param(
            None, {"date": "2999-01-01"}, "2999-01-01 is not over yet", marks=pytest.mark.slow
        ),
    ],
)
def test_a_run_without_a_usable_day_fails_at_once_and_says_how(platform, key, form, said):
    with platform.api("oncall") as api:
        body = {"logical_date": None, "partition_key": key and str(key), "conf": form}
        run = api.call("POST", f"dags/{DAG}/dagRuns", body)["dag_run_id"]
        state, tasks = platform.finish(run)
        assert (
            state == "failed"
            and tasks["extract"] == "failed"
            and tasks["publish"] == "upstream_failed"
        )
        assert tasks["champion"] == tasks["predict"] == "upstream_failed"
        assert said in api.log(DAG, run, "extract")
        assert api.tasks(DAG, run)["extract"].tries == 1


@pytest.mark.slow
def test_the_form_names_the_day_and_can_ask_for_ingest_alone(platform):
    with platform.api("oncall") as api:
        body = {"logical_date": None, "conf": {"date": str(BEFORE), "steps": "ingest"}}
        run = api.call("POST", f"dags/{DAG}/dagRuns", body)["dag_run_id"]
    before = platform.place.clickhouse_digests()
    state, tasks = platform.finish(run)
    assert state == "success", platform.logs(run)
    ran = {task for task, state in tasks.items() if state == "success"}
    assert ran == {"extract", "validate", "build_features", *WAITS, "champion", "watcher"}
    assert platform.place.clickhouse_digests() == before


def test_who_may_trigger(platform):
    with platform.api("analyst") as api:
        assert api.knows(DAG)
        with pytest.raises(StoreError, match="403"):
            api.trigger(DAG, DAY)


def test_the_pools_are_there(platform):
    with platform.api() as api:
        pools = {pool["name"]: pool["slots"] for pool in api.call("GET", "pools")["pools"]}
    assert pools["clickhouse"] == 1 and pools["training"] == 1
