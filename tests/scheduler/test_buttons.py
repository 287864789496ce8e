"""On-call's buttons in the runbook, by a real scheduler over REST; the steps are canned."""

from __future__ import annotations

import os
import time
from datetime import timedelta

import pytest

from jobs.core import settings
from jobs.core.errors import StoreError
from nights import DAY
from platform_under_test import DAG, kill, newest_scheduled_day

pytestmark = pytest.mark.timeout(400)
FRESHNESS = "freshness"
FIRST, SECOND, THIRD = (DAY + timedelta(days=7 * n) for n in range(3))  # no day waits for another
STEP = "validate"  # the one that fails


@pytest.fixture(scope="module")
def platform(canned):
    """One Airflow for all tests of this module, which run in order."""
    return canned


@pytest.fixture(scope="module")
def red(platform):
    """Runs by day that failed in STEP while their deadline is pending; the cause is fixed."""
    for day in (FIRST, SECOND, THIRD):
        platform.order(day, STEP, "fail")
    with platform.api("oncall") as api:
        runs = {day: api.trigger(DAG, day, steps="ingest") for day in (FIRST, THIRD)}
        form = {"logical_date": None, "conf": {"date": str(SECOND), "steps": "ingest"}}
        runs[SECOND] = api.call("POST", f"dags/{DAG}/dagRuns", form)["dag_run_id"]
    assert {platform.finish(run)[0] for run in runs.values()} == {"failed"}
    for day, run in runs.items():
        assert pending(platform, run), "the deadline of a failed run is pending"
        platform.mend(day, STEP)
    return runs


def pending(platform, run):
    """The times of the run's deadlines that were neither missed nor pruned."""
    statement = (
        "SELECT deadline_time FROM deadline JOIN dag_run ON dag_run.id = dagrun_id"
        f" WHERE run_id = '{run}' AND NOT missed"
    )
    return [due for (due,) in platform.place.query(statement, os.environ[settings.AIRFLOW_DB])]


def healed(platform, *runs, dag=DAG):
    """Whether the runs end green and no deadline is left of them."""
    for run in runs:
        state, tasks = platform.finish(run, 200, dag)
        assert state == "success", f"{tasks}\n{platform.logs(run, dag)}"
        assert set(tasks.values()) <= {"success", "skipped"}
        assert not pending(platform, run)


def test_every_run_shows_its_day_as_its_partition_key_also_where_the_form_named_it(platform, red):
    with platform.api("analyst") as api:
        keys = {
            day: api.call("GET", f"dags/{DAG}/dagRuns/{run}")["partition_key"]
            for day, run in red.items()
        }
    assert keys == {day: str(day) for day in red}


def test_clear_of_a_task_of_a_run_and_of_runs_in_the_list_while_the_deadline_is_pending(
    platform, red
):
    due = pending(platform, red[FIRST])
    platform.order(SECOND, "extract", "hold")
    with platform.api("oncall") as api:
        api.clear_run(DAG, red[SECOND])
        api.clear(DAG, red[FIRST], STEP)
        body = {"dry_run": False, "only_failed": True, "dag_runs": [{"dag_run_id": red[THIRD]}]}
        api.call("POST", f"dags/{DAG}/clearDagRuns", body)
    assert pending(platform, red[FIRST]) == due, "the day stays promised for the same hour"
    healed(platform, red[FIRST], red[THIRD])


def test_clear_of_a_task_that_runs_and_of_a_run_that_was_marked_failed(platform, red):
    run, tries = red[SECOND], platform.await_task(red[SECOND], "extract", "running").tries
    with platform.api("oncall") as api:
        api.clear(DAG, run, "extract")
        platform.await_task(run, "extract", "running", tries=tries + 1)
        api.mark(DAG, run, "failed")
        platform.await_task(run, "extract", "failed")
        platform.mend(SECOND, "extract")
        api.clear_run(DAG, run)
    healed(platform, run)


def test_a_run_is_deleted(platform, red):
    with platform.api("oncall") as api:
        api.call("DELETE", f"dags/{DAG}/dagRuns/{red[THIRD]}")
        assert api.runs(DAG, THIRD) == []


def test_a_paused_dag_starts_nothing_until_it_is_unpaused_and_freshness_is_cleared(platform):
    platform.order(FIRST, "freshness", "fail")
    with platform.api("oncall") as api:
        api.call("PATCH", f"dags/{FRESHNESS}", {"is_paused": True})
        run = api.trigger(FRESHNESS, FIRST)
        time.sleep(3)
        assert api.state(FRESHNESS, run) == "queued"
        api.call("PATCH", f"dags/{FRESHNESS}", {"is_paused": False})
        assert api.wait(FRESHNESS, run, 60) == "failed"
        platform.mend(FIRST, "freshness")
        api.clear(FRESHNESS, run, "fraud.freshness", "movies.freshness")
    healed(platform, run, dag=FRESHNESS)


@pytest.fixture(scope="module")
def earlier(platform):
    """A failed run of an earlier release, with a pending deadline that counts from its queueing."""
    platform.order(FIRST, "extract", "fail")
    with platform.api("oncall") as api:
        run = api.trigger("queued_at", FIRST)
        assert api.wait("queued_at", run, 60) == "failed"
    platform.mend(FIRST, "extract")
    assert pending(platform, run)
    return run


@pytest.mark.xfail(
    raises=StoreError, reason="apache/airflow#70368: use DAGRUN_QUEUED_AT again, delete RunCreated"
)
def test_airflow_clears_a_run_whose_deadline_counts_from_when_it_was_queued(platform, earlier):
    with platform.api("oncall") as api:
        api.clear("queued_at", earlier, "extract")


def test_a_run_of_an_earlier_release_can_be_cleared_once_airflow_has_been_started(
    platform, earlier
):
    due = pending(platform, earlier)
    kill(platform.component("triggerer").leader)
    platform.up()
    assert pending(platform, earlier) == due
    with platform.api("oncall") as api:
        api.clear("queued_at", earlier, "extract")
    healed(platform, earlier, dag="queued_at")


@pytest.mark.slow
@pytest.mark.oncall
def test_a_missing_pool_is_imported_again(platform):
    with platform.api() as api:
        api.call("DELETE", "pools/training")
    imported = platform.place.nightshift(
        "airflow", "pools", "import", "plugins/nightshift/pools.json"
    )
    said, _ = imported.communicate(timeout=120)
    assert imported.returncode == 0, said
    with platform.api() as api:
        assert api.call("GET", "pools/training")["slots"] == 1


@pytest.mark.slow
@pytest.mark.oncall
def test_housekeeping_by_hand_is_a_dry_run_until_it_is_switched_off(platform):
    with platform.api("oncall") as api:
        for form, option in (({}, "--dry-run"), ({"dry_run": False}, "--no-dry-run")):
            run = api.trigger("housekeeping", FIRST, pipeline="fraud", **form)
            assert api.wait("housekeeping", run, 120) == "success"
            assert f" {option}" in api.log("housekeeping", run, "fraud.housekeeping")


@pytest.mark.slow
@pytest.mark.oncall
def test_a_backfill_is_made_in_the_ui_shows_its_days_and_is_cancelled(platform):
    first, last = THIRD + timedelta(days=7), THIRD + timedelta(days=9)
    days = [first + timedelta(days=n) for n in range(3)]
    newest = newest_scheduled_day()  # a first backfill makes Airflow run it, too
    for day in (*days, newest):
        platform.order(day, "extract", "hold")
    with platform.api("oncall") as api:
        body = {
            "dag_id": DAG,
            "from_date": f"{first}T00:00:00Z",
            "to_date": f"{last + timedelta(days=1)}T00:00:00Z",
            "max_active_runs": 1,
            "reprocess_behavior": "failed",
            "dag_run_conf": {"steps": "ingest"},
        }
        backfill = api.call("POST", "backfills", body)["id"]
        runs = {day: run for day in days for run in api.runs(DAG, day)}
        assert len(runs) == len(days)
        platform.await_task(runs[first], "extract", "running")
        api.call("PUT", f"backfills/{backfill}/cancel")
        for day in (*days, newest):
            platform.mend(day, "extract")
        states = [api.wait(DAG, runs[day], 120) for day in days]
    assert states == ["success", "failed", "failed"], (
        "what runs goes on; what is queued never starts"
    )
