"""Three days by `airflow backfill create` equal the same days in turn; what its options do."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from jobs.core.identity import days
from jobs.core.steps import NIGHTLY
from nights import DAY
from platform_under_test import DAG, newest_scheduled_day

pytestmark = [pytest.mark.slow, pytest.mark.oncall, pytest.mark.timeout(1500)]
LAST = DAY + timedelta(days=2)
RANGE = list(days(DAY, LAST))


@pytest.fixture(scope="module")
def platform(scheduled):
    """An Airflow that has run no night yet; the tests of this module run in order."""
    with scheduled("extract") as platform:
        yield platform


def backfill(platform, *more):
    """Run on-call's command once the last backfill is over; return the runs by day."""
    with platform.api() as api:
        deadline = time.monotonic() + 120
        while any(
            each["completed_at"] is None
            for each in api.call("GET", "backfills", dag_id=DAG)["backfills"]
        ):
            assert time.monotonic() < deadline, "the backfill before is not marked as completed"
            time.sleep(0.5)
    bounds = ("--from-date", str(DAY), "--to-date", str(LAST + timedelta(days=1)))
    asked = platform.place.nightshift(
        "airflow", "backfill", "create", "--dag-id", DAG, *bounds, "--max-active-runs", "3", *more
    )
    said, _ = asked.communicate(timeout=120)
    assert asked.returncode == 0, said
    return runs(platform)


def runs(platform):
    with platform.api() as api:
        return {day: api.runs(DAG, day) for day in RANGE}


def finished(platform, runs_by_day):
    """The state of every run, once all are over."""
    return {run: platform.finish(run, 1200)[0] for day in RANGE for run in runs_by_day[day]}


def digests(platform):
    """The digests of all days but the newest one, which a first backfill makes Airflow run, too."""
    newest = str(newest_scheduled_day())
    return {name: value for name, value in platform.place.digests().items() if newest not in name}


def holes(platform):
    status = platform.place.nightshift("status", "fraud", "--range", f"{DAY}..{LAST}")
    said, _ = status.communicate(timeout=120)
    assert status.returncode == 0, said
    return {
        line.split()[0]: line.partition("holes: ")[2]
        for line in said.splitlines()
        if " days, " in line
    }


def test_three_runs_at_once_equal_the_days_in_series(platform, at):
    in_series = at("end")
    for day in RANGE[1:]:
        for step in NIGHTLY:
            in_series.run(step, day)
    assert holes(platform)["extract"] == f"{DAY}..{LAST} (3 days)"
    runs_by_day = backfill(platform)
    assert all(len(runs_by_day[day]) == 1 for day in RANGE)
    with platform.api() as api:
        deadline = time.monotonic() + 120
        while {api.state(DAG, run) for [run] in runs_by_day.values()} != {"running"}:
            assert time.monotonic() < deadline, "the three were never running at once"
            time.sleep(0.5)
    assert set(finished(platform, runs_by_day).values()) == {"success"}, [
        platform.logs(run) for [run] in runs_by_day.values()
    ]
    assert digests(platform) == in_series.digests()
    assert set(holes(platform).values()) == {""}


@pytest.mark.parametrize(
    ("behavior", "new"), [("none", set()), ("failed", {DAY}), ("completed", set(RANGE))]
)
def test_which_runs_are_made_again(platform, behavior, new):
    before, held = runs(platform), digests(platform)
    with platform.api("oncall") as api:
        for run in before[DAY]:
            api.mark(DAG, run, "failed")
    after = backfill(
        platform, "--reprocess-behavior", behavior, "--dag-run-conf", '{"steps": "ingest"}'
    )
    assert {day for day in RANGE if after[day] != before[day]} == new
    made = [run for day in new for run in after[day] if run not in before[day]]
    assert len(made) == len(new)
    ended = finished(platform, after)
    assert {ended[run] for run in made} <= {"success"}
    assert digests(platform) == held
