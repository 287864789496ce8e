"""A step killed at any point and run again ends as if nothing had happened; no reader notices."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest

from jobs.core.steps import NIGHTLY
from jobs.serving import publish, rollback
from jobs.steps.frame import POINTS
from jobs.usecases.discovery import find_usecase
from nights import BEFORE, DAY
from prepared_night import EACH

# Before the first write, staged but not swapped, swapped but without a manifest. At the other
# points the stores hold what they hold at one of these.
STATES = ("stage", "swap", "manifest")
OTHERS = tuple(point for point in POINTS if point not in STATES)
QUICK = ("train", "publish")
SPARK = ("build_features", "snapshot", "check_drift", "predict")  # a minute together
# `make test-chaos` kills every step under the scheduler, too.
STEPS = [pytest.param(step, marks=() if step in QUICK else pytest.mark.slow) for step in NIGHTLY]
WITHIN_PUBLISH = (  # in the order of a publish that resumes where the last one died
    "publish.loading",
    "publish.attached",
    "redis.loading",
    "redis.loaded",
    "publish.after_flip",
    "redis.unlinking",
)
ROLLBACK = {"what": "both", "reason": "scores look wrong"}


def points(step, names=POINTS):
    return [f"{step}.{point}" for point in names]


def crash(place, step, failpoints, ended, **options):
    """Die at each point in turn, then run; compare with the undisturbed result."""
    served = place.serving()
    for point in failpoints:
        place.kill(step, point, **options)
        assert place.manifest(step) is None, point
        readers_see_one_version(place)
        if step not in ("publish", "rollback"):
            now = place.serving()
            assert now["served"] == served["served"] and now["rows"] == served["rows"], point
    place.run(step, **options)
    assert place.digests() == ended


def readers_see_one_version(place):
    """What the views and Redis show is one whole publication each, as its row counts say."""
    shown = place.serving()
    counts = dict(place.query("SELECT version, row_counts FROM publication"))
    states = dict(place.query("SELECT version, state FROM publication"))
    version = shown["served"][0]
    assert states[version] == "current"
    pointer, documents = shown["redis"]
    asked = 0
    for table in find_usecase(place.pipeline).predictions:
        versions = place.query(
            f"SELECT version, count(*) FROM {table.name}_current GROUP BY version"
        )
        assert all(
            counts[each][table.name] == rows and states[each] == "current"
            for each, rows in versions
        )
        assert table.kind == "event" or [each for each, _ in versions] == [version]
        key = ", ".join(table.lookup_key)
        [(ids,)] = place.query(
            f"SELECT count(DISTINCT ({key})) FROM {place.pipeline}.{table.name} "
            f"WHERE version = '{pointer}'"
        )
        asked += ids
    assert len(documents) == asked


@pytest.fixture
def after(prepared, pipeline):
    """The digests of the undisturbed night when a step of it had ended."""
    return lambda step: prepared(pipeline)[(*NIGHTLY, "end")[NIGHTLY.index(step) + 1]].digests


@EACH
@pytest.mark.parametrize("step", STEPS)
def test_a_step_killed_in_each_state_and_run_again(at, after, step):
    crash(at(step), step, points(step, STATES), after(step))


@pytest.mark.slow
@EACH
@pytest.mark.parametrize("step", [step for step in NIGHTLY if step not in SPARK])
def test_a_step_killed_at_each_other_point_and_run_again(at, after, step):
    crash(at(step), step, points(step, OTHERS), after(step))


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("step", SPARK)
def test_a_step_with_spark_killed_at_each_other_point(at, after, step):
    crash(at(step), step, points(step, OTHERS), after(step))


@EACH
def test_publish_killed_within(at, after):
    """While it loads, attaches, flips, and clears Redis of what went out of the pair."""
    assert {*WITHIN_PUBLISH, "publish.detach"} == set(publish.FAILPOINTS)
    place = at("publish")
    place.query("UPDATE publication SET served_until = served_until - interval '1 hour'")
    crash(place, "publish", WITHIN_PUBLISH, after("publish"))


def test_publish_killed_while_it_drops_an_expired_version(at):
    place = at("end")
    before = place.serving()
    place.set_params(publish={"keep_versions": 2, "keep_days": 1})
    place.query("UPDATE publication SET left_at = left_at - interval '1 hour'")
    place.kill("publish", "publish.detach")
    readers_see_one_version(place)
    place.run("publish")
    expired = f"{BEFORE - timedelta(days=1):%Y%m%d}"
    gone = [
        row
        for row in before["rows"]["transaction_scores_current"]
        if row.startswith(f"('{expired}-")
    ]
    assert gone, "an expired version was shown before"
    kept = [row for row in before["rows"]["transaction_scores_current"] if row not in gone]
    assert place.serving() == before | {
        "rows": before["rows"] | {"transaction_scores_current": kept}
    }
    assert (
        place.query(f"SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ '_{expired}_'")
        == []
    )


KILLED_ROLLBACKS = {
    "in each state": (*points("rollback", STATES), *rollback.FAILPOINTS),
    "at each other point": points("rollback", OTHERS),
}
KILLED_RECONCILES = {
    "in each state": (*points("reconcile", ("swap", "manifest")), "redis.loading", "redis.loaded"),
    "at each other point": points("reconcile", (*OTHERS, "stage")),
}


def in_each_state(killed):
    """Parametrizes a test with its failpoints; those that add no state are slow."""
    slow = {"in each state": (), "at each other point": pytest.mark.slow}
    values = [pytest.param(killed[name], marks=marks, id=name) for name, marks in slow.items()]
    return pytest.mark.parametrize("failpoints", values)


@EACH
@in_each_state(KILLED_ROLLBACKS)
def test_rollback_killed_and_run_again(at, failpoints):
    """Both the tables and the model go back, once, however often it was killed."""
    place = at("end")
    for failpoint in failpoints:
        place.kill("rollback", failpoint, **ROLLBACK)
        assert place.manifest("rollback") is None
        readers_see_one_version(place)
    place.run("rollback", **ROLLBACK)
    serving = place.serving()
    assert serving["served"][0].startswith(f"{BEFORE:%Y%m%d}")
    assert serving["redis"][0] == serving["served"][0]
    assert [row[:2] for row in serving["promotions"]][-1] == (DAY, "rollback")
    assert sum(row[1] == "rollback" for row in serving["promotions"]) == 1


@EACH
@in_each_state(KILLED_RECONCILES)
def test_reconcile_killed_and_run_again(at, caplog, failpoints):
    """It loads all of Redis, and is killed there as well; loading rows is no alarm here."""
    caplog.set_level(logging.INFO)
    place = at("end")
    before = place.serving()
    place.empty_redis()
    for failpoint in failpoints:
        place.kill("reconcile", failpoint)
        place.empty_redis()
    place.run("reconcile")
    assert place.serving() == before
    said = {record.getMessage(): record.levelname for record in caplog.records}
    assert said["loaded into Redis from PostgreSQL: served or previous versions"] == "INFO"
