from __future__ import annotations

import threading
from datetime import date, timedelta

import pytest
from psycopg2.errors import UniqueViolation

from jobs.core.errors import DataError
from jobs.serving import promotions, schema

FIRST = date(2018, 7, 1)


@pytest.fixture
def tell(serving_db):
    """Records one row: day number, digest (None: rejected), kind."""

    def record(n, digest, kind="promotion", pipeline="demo"):
        promotions.record(
            serving_db,
            pipeline,
            FIRST + timedelta(days=n),
            kind=kind,
            from_digest=None,
            from_version=None,
            to_digest=digest,
            to_version=digest and f"v{digest}",
            verdict="promoted" if digest else "rejected",
            metrics={"auc": 0.9},
            reasons=[f"{kind} {n}"],
            approved_by="gate",
        )

    return record


@pytest.fixture
def champion(serving_db):
    def ask(n, inclusive=True):
        current = promotions.history(serving_db, "demo").champion(
            FIRST + timedelta(days=n), inclusive=inclusive
        )
        return current.digest if current else None

    return ask


def test_without_a_promotion_there_is_no_champion(serving_db, champion, tell):
    assert champion(0) is None and promotions.history(serving_db, "demo").pair == (None, None)
    assert promotions.history(serving_db, "demo").newest_date is None
    tell(0, None)
    assert champion(0) is None and promotions.history(serving_db, "demo").newest_date == FIRST


def test_the_champion_of_a_day_is_the_last_one_up_to_it_or_before_it(champion, tell):
    tell(0, "a")
    tell(2, "b")
    assert [champion(n) for n in (-1, 0, 1, 2, 3)] == [None, "a", "a", "b", "b"]
    assert [champion(n, inclusive=False) for n in (0, 1, 2, 3)] == [None, "a", "a", "b"]


def test_a_rejected_challenger_changes_nothing(champion, tell):
    tell(0, "a")
    tell(1, None)
    assert champion(1) == "a"


def test_a_rerun_replaces_the_promotion_of_its_day(serving_db, champion, tell):
    tell(0, "a")
    tell(1, "b")
    tell(1, "c")
    assert champion(1) == "c" and promotions.history(serving_db, "demo").pair == ("c", "a")
    tell(1, None)
    assert champion(1) == "a" and len(promotions.history(serving_db, "demo")) == 2


def test_a_rollback_outranks_the_promotion_of_its_day_whichever_came_first(champion, tell):
    tell(0, "a")
    tell(1, "b")
    tell(1, "a", "rollback")
    tell(1, "c")
    assert champion(1) == "a"
    tell(2, "d")
    assert champion(1) == "a" and champion(2) == "d"


def test_of_several_rollbacks_of_a_day_the_last_counts(serving_db, champion, tell):
    for n, digest in enumerate("abc"):
        tell(n, digest)
    tell(2, "b", "rollback")
    assert champion(2) == "b" and promotions.history(serving_db, "demo").pair == ("b", "a")
    tell(2, "a", "rollback")
    assert champion(2) == "a" and promotions.history(serving_db, "demo").pair == ("a", None)


def test_after_a_rollback_the_previous_model_is_the_one_before_and_not_the_one_left(
    serving_db, tell
):
    for n, digest in enumerate("abab"):
        tell(n, digest)
    assert promotions.history(serving_db, "demo").pair == ("b", "a")
    tell(3, "a", "rollback")
    assert promotions.history(serving_db, "demo").pair == ("a", "b")
    tell(4, "a")
    assert promotions.history(serving_db, "demo").pair == ("a", "b")


def test_a_rollback_to_a_model_that_never_was_champion_puts_it_on_top(serving_db, tell):
    tell(0, "a")
    tell(0, "z", "rollback")
    assert promotions.history(serving_db, "demo").pair == ("z", "a")


def test_a_champion_says_its_number_and_the_date_of_its_promotion(serving_db, tell):
    tell(3, "a")
    tell(5, "b")
    tell(6, "a", "rollback")
    current = promotions.history(serving_db, "demo").champion(
        FIRST + timedelta(days=9), inclusive=True
    )
    assert current == promotions.ChampionModel("a", "va", FIRST + timedelta(days=3))


def test_pipelines_do_not_meet(serving_db, champion, tell):
    tell(0, "a", pipeline="other")
    assert champion(0) is None and promotions.history(serving_db, "other").pair == ("a", None)


def test_a_row_holds_what_was_recorded(serving_db, tell):
    tell(0, "a")
    (row,) = promotions.history(serving_db, "demo")
    assert (row.date, row.kind, row.to_digest, row.to_version) == (FIRST, "promotion", "a", "va")
    assert (row.metrics, row.reasons, row.verdict, row.approved_by) == (
        {"auc": 0.9},
        ["promotion 0"],
        "promoted",
        "gate",
    )


def test_two_records_of_one_day_at_once_leave_one_row(serving_db, tell):
    threads = [threading.Thread(target=tell, args=(0, digest)) for digest in "abcdef"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(promotions.history(serving_db, "demo")) == 1


def test_a_date_has_one_current_version_at_most_whoever_writes(serving_db):
    insert = (
        "INSERT INTO publication (pipeline, version, date, state, row_counts, digests, created_at)"
        " VALUES ('demo', %s, '2018-07-01', 'current', '{}', '{}', now())"
    )
    with (
        pytest.raises(DataError) as caught,
        schema.connect_serving_database(serving_db) as session,
        session.cursor() as cursor,
    ):
        cursor.execute(insert, ("one",))
        cursor.execute(insert, ("two",))
    assert isinstance(caught.value.__cause__, UniqueViolation)
