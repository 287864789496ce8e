"""Steps at once: the same step twice, neighbouring days, a held lock, rollback with publish."""

from __future__ import annotations

from datetime import timedelta

import pytest
from test_step_crashes import readers_see_one_version

from jobs.core import locks
from jobs.core.errors import StoreError
from jobs.core.steps import NIGHTLY
from nights import BEFORE, DAY, PIPELINE

DAYS = [DAY + timedelta(days=n) for n in range(3)]
ROLLBACK = {"what": "both", "reason": "scores look wrong"}


@pytest.mark.parametrize("step", ["extract", "gate", "promote", "publish"])
def test_two_runs_of_one_step_at_once_end_as_one(at, night, step):
    place = at(step)
    pair = [place.start(step), place.start(step)]
    for process in pair:
        process.join(300)
    assert [process.exitcode for process in pair] == [0, 0], (
        place.home / f"{step}.log"
    ).read_text()
    assert place.digests() == night[(*NIGHTLY, "end")[NIGHTLY.index(step) + 1]].digests


@pytest.mark.parametrize(
    ("step", "lock"), [("extract", f"{PIPELINE}/extract/{DAY}"), ("publish", PIPELINE)]
)
def test_whoever_waits_too_long_names_the_holder(at, step, lock):
    place = at("publish")
    with (
        place.settings(NIGHTSHIFT_LOCK_WAIT="0.2") as settings,
        locks.hold(settings.postgres, lock, "an operator"),
        pytest.raises(
            StoreError, match=rf"waited 0\.2 s for the lock {lock}, held by an operator"
        ) as raised,
    ):
        place.run(step)
    assert raised.value.where == f"fraud/{step} {DAY}" and raised.value.exit_code == 75


def test_a_step_waits_while_the_day_before_is_under_way(at):
    place = at("gate")
    with (
        place.settings(NIGHTSHIFT_LOCK_WAIT="0.2") as settings,
        locks.hold(settings.postgres, f"{PIPELINE}/run/{BEFORE}", "the run of the day before"),
        pytest.raises(StoreError, match="held by the run of the day before"),
    ):
        place.run("gate")
    assert place.run("gate").facts["verdict"] == "promoted"


def test_publishing_again_does_not_undo_a_rollback(at):
    place = at("end")
    left, previous = place.serving()["served"]
    assert place.run("rollback", **ROLLBACK).facts["withdrawn"] == [left]
    assert place.serving()["served"][0] == previous
    publish = place.run("publish")
    assert (
        publish.facts["state"] == "withdrawn"
        and not publish.facts["served"]
        and "rollback" in publish.facts["warning"]
    )
    serving = place.serving()
    assert serving["served"][0] == serving["redis"][0] == previous
    readers_see_one_version(place)
    assert place.run("verify").facts["state"] == "withdrawn"
    assert place.run("rollback", **ROLLBACK).facts["withdrawn"] == []
    assert place.serving() == serving


def test_after_a_rollback_the_earlier_model_scores_and_its_tables_are_served(at):
    place = at("end")
    earlier = place.manifest("predict", BEFORE).model_digest
    left = place.serving()["served"][0]
    assert place.manifest("predict").model_digest != earlier
    place.run("rollback", **ROLLBACK)
    assert place.run("predict").model_digest == earlier
    version = place.run("publish").facts["version"]
    assert (
        version != left and place.serving()["served"][0] == place.serving()["redis"][0] == version
    )
    assert place.run("verify").facts["state"] == "current"


def test_a_rollback_can_be_rolled_back_by_name(at):
    place = at("end")
    before = place.serving()
    left = before["served"][0]
    place.run("rollback", **ROLLBACK)
    place.run("rollback", what="tables", to=left, reason="they were right")
    serving = place.serving()
    assert serving["served"][0] == serving["redis"][0] == left and serving["rows"] == before["rows"]


def test_a_dry_run_of_a_rollback_says_what_it_would_do_and_does_nothing(at):
    place = at("end")
    before = place.serving()
    facts = place.run("rollback", dry_run=True, **ROLLBACK).facts
    assert (facts["left_version"], facts["version"]) == before["served"]
    assert place.serving() == before


@pytest.mark.slow  # six nights, three of them at once: minutes, more on a busy machine
@pytest.mark.timeout(2400)
def test_three_days_in_parallel_equal_three_days_in_series(at):
    place = at("extract")
    for day in DAYS:
        assert_ended(place, [place.nightshift("run", "fraud", "--date", str(day))])
    in_series = place.digests()
    place = at("extract")
    assert_ended(place, [place.nightshift("run", "fraud", "--date", str(day)) for day in DAYS])
    assert place.digests() == in_series


def assert_ended(place, processes):
    outputs = [process.communicate(timeout=1800)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), outputs
