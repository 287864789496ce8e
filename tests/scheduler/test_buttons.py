"""What the runbook tells on-call to press, by a real scheduler over REST; the steps under the buttons are canned."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path

import pytest

from jobs.core import settings
from jobs.core.errors import StoreError
from nights import DAY, Place
from platform_under_test import DAG, kill, running

pytestmark = pytest.mark.timeout(400)
CANNED = Path(__file__).parent / "canned"
FIRST, SECOND, THIRD = (DAY + timedelta(days=7 * n) for n in range(3))  # no day waits for another
STEP = "validate"  # the one that fails


@pytest.fixture(scope="module")
def platform(services, databases, tmp_path_factory):
    """An Airflow of canned steps over an installation that holds nothing; the tests of this module run in order."""
    redis = services.redis.rpartition("/")[0] + "/15"
    bundle = {
        "name": "dags-folder", "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
        "kwargs": {"path": str(CANNED)},
    }  # fmt: skip
    given = {"AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps([bundle])}
    home = tmp_path_factory.mktemp("buttons") / "home"
    (home / "canned").mkdir(parents=True)
    with databases("serving") as serving, databases("airflow") as metadata:
        place = Place(home, serving, serving, redis)
        place.set_params()
        with running(place, metadata, given) as platform:
            yield platform


@pytest.fixture(scope="module")
def red(platform):
    """(run of each day) Runs that failed in STEP while their deadline is pending; what failed them is mended."""
    for day in (FIRST, SECOND, THIRD):
        order(platform, day, STEP, "fail")
    with platform.api("oncall") as api:
        runs = {day: api.trigger(DAG, day, steps="ingest") for day in (FIRST, SECOND, THIRD)}
    assert {platform.finish(run)[0] for run in runs.values()} == {"failed"}
    for day, run in runs.items():
        assert pending(platform, run), "the deadline of a failed run is pending"
        mend(platform, day, STEP)
    return runs


def order(platform, day, step, what):
    """What the canned step does on its next tries."""
    (platform.place.home / "canned" / f"{day}-{step}").write_text(what)


def mend(platform, day, step):
    (platform.place.home / "canned" / f"{day}-{step}").unlink()


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


def test_clear_of_a_task_of_a_run_and_of_runs_in_the_list_while_the_deadline_is_pending(platform, red):
    due = pending(platform, red[FIRST])
    order(platform, SECOND, "extract", "hold")
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
        mend(platform, SECOND, "extract")
        api.clear_run(DAG, run)
    healed(platform, run)


@pytest.fixture(scope="module")
def earlier(platform):
    """A failed run that an earlier release created: its deadline counts from when it was queued, and is pending."""
    order(platform, FIRST, "extract", "fail")
    with platform.api("oncall") as api:
        run = api.trigger("queued_at", FIRST)
        assert api.wait("queued_at", run, 60) == "failed"
    mend(platform, FIRST, "extract")
    assert pending(platform, run)
    return run


@pytest.mark.xfail(
    raises=StoreError, reason="apache/airflow#70368: use DAGRUN_QUEUED_AT again, delete RunCreated"
)
def test_airflow_clears_a_run_whose_deadline_counts_from_when_it_was_queued(platform, earlier):
    with platform.api("oncall") as api:
        api.clear("queued_at", earlier, "extract")


def test_a_run_of_an_earlier_release_can_be_cleared_once_airflow_has_been_started(platform, earlier):
    due = pending(platform, earlier)
    kill(platform.component("triggerer").leader)
    platform.up()
    assert pending(platform, earlier) == due
    with platform.api("oncall") as api:
        api.clear("queued_at", earlier, "extract")
    healed(platform, earlier, dag="queued_at")
