"""freshness, the real step: a served day, a late one, stores that differ.

It does not wait for nights in progress.
"""

from __future__ import annotations

import threading
from contextlib import closing
from dataclasses import replace

import pytest
import redis

from jobs.core import locks
from jobs.core.errors import DataError, StoreError
from nights import AFTER, BEFORE, DAY, PIPELINE
from prepared_night import EACH


def point(place, version):
    with closing(redis.Redis.from_url(place.redis)) as client:
        client.set(f"ns:{place.pipeline}:current", version)


@EACH
def test_a_served_day_is_fresh_and_nothing_is_changed(at, pipeline):
    place = at("end")
    before = place.serving()
    for day in (DAY, BEFORE):
        facts = place.run("freshness", day).facts
        assert (facts["serves"], facts["passed"]) == (before["served"][0], facts["checks"])
    assert place.serving() == before


def test_a_late_day_fails_and_says_what_is_served_and_what_to_do(at):
    place = at("end")
    with pytest.raises(
        DataError, match=rf"is served, for \d+ h; of {AFTER} there is nothing"
    ) as raised:
        place.run("freshness", AFTER)
    assert place.serving()["served"][0] in str(raised.value)
    assert f"Next: look at the run of {AFTER} in Airflow" in str(raised.value)
    assert place.manifest("freshness", AFTER) is None


def test_a_late_day_only_warns_where_that_is_asked_for(at):
    place = at("end")
    place.set_params(freshness={"severity": "warn"})
    facts = place.run("freshness", AFTER).facts
    assert facts["passed"] == facts["checks"] - 1


def test_before_the_first_publish_nothing_is_served(at, serving_db):
    with pytest.raises(DataError, match=f"nothing is served, {DAY} was due"):
        replace(at("end"), postgres=serving_db).run("freshness")


def test_a_day_that_was_rolled_back_is_not_served(at):
    place = at("end")
    place.run("rollback", what="tables", reason="scores are off")
    with pytest.raises(DataError, match=r"was withdrawn: .*scores are off"):
        place.run("freshness")
    assert place.run("freshness", BEFORE)


def test_redis_that_serves_another_version_is_named_with_the_remedy(at):
    place = at("end")
    served, previous = place.serving()["served"]
    point(place, previous)
    with pytest.raises(DataError, match=f"Redis serves {previous}") as raised:
        place.run("freshness")
    assert f"Next: nightshift reconcile --pipeline {PIPELINE} --date {DAY}" in str(raised.value)
    place.run("reconcile")
    assert place.run("freshness").facts["serves"] == served


def test_a_flip_under_way_is_no_alarm(at):
    """PostgreSQL's pointer has moved, Redis' has not yet: it looks again."""
    place = at("end")
    served, previous = place.serving()["served"]
    point(place, previous)
    flip = threading.Timer(1, point, (place, served))
    flip.start()
    facts = place.run("freshness").facts
    flip.join()
    assert facts["passed"] == facts["checks"]


def test_it_waits_for_no_publish(at):
    place = at("end")
    with (
        place.settings(NIGHTSHIFT_LOCK_WAIT="0.2") as settings,
        locks.hold(settings.postgres, PIPELINE, "a publish"),
    ):
        assert place.run("freshness")


def test_a_redis_that_is_away_may_be_tried_again(at):
    place = at("end")
    away = place.redis.replace(place.redis.rpartition(":")[2], "1/0")
    with pytest.raises(StoreError, match="Redis"):
        replace(place, redis=away).run("freshness")
