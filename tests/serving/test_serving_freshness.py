"""What a client would notice: a late day, missing rows, stores that answer differently."""

from __future__ import annotations

import pytest
from serving_cases import HOUR, NOON, day, edition, go_back, night, tables

from jobs.core.checks import failed
from jobs.serving.freshness import Clients
from jobs.serving.rollback import RollbackRequest


@pytest.fixture
def published(both):
    return [night(both, edition(day(n), n), NOON + n * HOUR) for n in range(3)]


def look(both, n, severity="fail"):
    return Clients("demo", tables(), both.session, both.redis).look(day(n), 10, severity)[1]


def wrong(both, n):
    return {check.name: check.message for check in failed(look(both, n))}


def test_what_was_published_is_fresh(both, published):
    assert [check.name for check in look(both, 2)] == [
        "days_behind",
        "redis.pointer",
        "demo_risk.rows",
        "demo_risk.redis.differing",
        "demo_scores.rows",
        "demo_scores.redis.differing",
    ]
    assert wrong(both, 2) == wrong(both, 1) == {}


def test_nothing_is_served_before_the_first_night(both):
    assert wrong(both, 0) == {"days_behind": "nothing is served, 2018-07-01 was due"}


def test_a_day_that_is_late_is_named_with_what_is_served_instead(both, published):
    findings = wrong(both, 4)
    assert set(findings) == {"days_behind"}
    assert findings["days_behind"].startswith(
        f"{published[2].version} of 2018-07-03 is served, for "
    )
    assert findings["days_behind"].endswith("of 2018-07-05 there is nothing")
    assert next(check.value for check in look(both, 4)) == 2


def test_a_late_day_only_warns_where_that_is_asked_for(both, published):
    late = look(both, 4, "warn")[0]
    assert (late.passed, late.severity) == (False, "warn") and not failed(look(both, 4, "warn"))


def test_a_withdrawn_day_is_said_to_be(both, published, serving_db):
    go_back(both, serving_db, RollbackRequest(day(2), "scores are off", "tables"), NOON + 3 * HOUR)
    assert (
        f"{published[2].version} was withdrawn: rollback 2018-07-03: scores are off"
        in wrong(both, 2)["days_behind"]
    )


def test_an_earlier_day_whose_events_are_missing_is_found(both, published):
    night(both, edition(day(4), 4), NOON + 4 * HOUR)
    assert wrong(both, 3) == {"2018-07-04.published": "no version of 2018-07-04 is current"}
    with both.session.cursor() as cursor:
        cursor.execute("DELETE FROM demo.demo_scores WHERE date = '2018-07-02' AND part = 0")
    assert set(wrong(both, 1)) == {"demo_scores.rows"} and wrong(both, 2) == {}


@pytest.mark.parametrize("table", ["demo_risk", "demo_scores"])
def test_rows_that_are_gone_from_a_current_view_are_found(both, published, table):
    with both.session.cursor() as cursor:
        cursor.execute(
            f"DELETE FROM demo.{table} WHERE date = '2018-07-03' AND stamp = 2 AND score < 3"
        )
    assert f"{table}.rows" in wrong(both, 2)


def test_stores_that_answer_differently_are_found(both, published):
    keys, version = both.redis, published[2].version
    for key in keys.client.scan_iter(match=f"ns:demo:{version}:demo_risk:*"):
        keys.client.delete(key)
    assert wrong(both, 2) == {"demo_risk.redis.differing": "of 10 lookups"}


def test_a_pointer_that_lags_is_found(both, published):
    both.redis.point(published[1].version)
    assert wrong(both, 2)["redis.pointer"] == f"Redis serves {published[1].version}"
