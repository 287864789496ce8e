from __future__ import annotations

import pytest
from serving_cases import (
    FIRST,
    HOUR,
    NOON,
    PARAMS,
    day,
    edition,
    go_back,
    night,
    orphans,
    postgres_shows,
    shown,
    size,
    states,
    tables,
)

from jobs.core.errors import ConfigError, DataError
from jobs.serving import lookup as client
from jobs.serving import promotions, publications, rollback, schema, stores
from jobs.serving.rollback import RollbackRequest

ENTITY, EVENT = tables()


def publish_days(both, *stamps, first=0):
    """One day after the other, an hour apart; returns the versions."""
    return [
        night(both, edition(day(first + n), stamp), NOON + (first + n) * HOUR).version
        for n, stamp in enumerate(stamps)
    ]


def pair(both):
    return publications.served(both.session, "demo").pair


def current(both, table):
    with both.session.cursor() as cursor:
        cursor.execute(
            f"SELECT version, date, stamp, count(*) FROM {table}_current GROUP BY 1, 2, 3 "
            "ORDER BY 2"
        )
        return cursor.fetchall()


def test_the_first_publish_serves_the_day_in_both_stores(both):
    what = edition(FIRST, 3)
    done = night(both, what, NOON)
    assert (done.state, done.served, done.loaded) == ("current", True, ["demo_risk", "demo_scores"])
    assert done.version == what.version and done.version.startswith("20180701-")
    assert current(both, "demo_risk") == [(done.version, FIRST, 3, size(3))]
    assert current(both, "demo_scores") == [(done.version, FIRST, 3, size(3))]
    assert both.redis.served() == done.version and pair(both) == (done.version,)
    assert orphans(both) == []


def test_both_stores_give_equal_answers(both):
    night(both, edition(FIRST, 5), NOON)
    for n in range(size(5)):
        for table, key in ((ENTITY, (f"c{n}",)), (EVENT, (f"t01:{n}", n))):
            answer = client.from_postgres(both.session, table, key)
            assert answer == client.from_redis(both.redis, table, key)
            assert (
                answer["stamp"] == 5
                and answer["score"] == 5 + n / 3
                and answer["date"] == "2018-07-01"
            )
    assert (
        client.from_postgres(both.session, EVENT, ("t01:1", 1))["at"]
        == "2018-07-01T12:00:00.000001Z"
    )
    for table, key in ((ENTITY, ("nobody",)), (EVENT, ("t01:0", 1))):
        assert client.from_postgres(both.session, table, key) is None
        assert client.from_redis(both.redis, table, key) is None


def test_publishing_twice_changes_nothing(both):
    publish_days(both, 1, 2)
    before = shown(both)
    again = night(both, edition(day(1), 2), NOON + 5 * HOUR)
    assert again.loaded == [] and again.served and shown(both) == before


def test_event_tables_show_every_day_up_to_the_served_one(both):
    first, second = publish_days(both, 1, 2)
    assert current(both, "demo_risk") == [(second, day(1), 2, size(2))]
    assert current(both, "demo_scores") == [
        (first, day(0), 1, size(1)),
        (second, day(1), 2, size(2)),
    ]


def test_an_older_date_becomes_current_for_its_day_and_is_not_served(both):
    first, third = publish_days(both, 1)[0], publish_days(both, 3, first=2)[0]
    late = night(both, edition(day(1), 2), NOON + 9 * HOUR)
    assert (late.state, late.served) == ("current", False)
    assert pair(both) == (third, first) and both.redis.served() == third
    assert [row[2] for row in current(both, "demo_scores")] == [1, 2, 3]


def test_a_corrected_day_supersedes_the_old_version(both):
    first, second = publish_days(both, 1, 2)
    mended = night(both, edition(day(1), 20), NOON + 3 * HOUR)
    assert states(both) == {first: "current", second: "superseded", mended.version: "current"}
    assert pair(both) == (mended.version, second)
    assert [row[2] for row in current(both, "demo_scores")] == [1, 20]


def test_correcting_the_previous_day_gives_a_rollback_the_corrected_tables(both, serving_db):
    publish_days(both, 1, 2)
    mended = night(both, edition(day(0), 10), NOON + 3 * HOUR)
    assert pair(both)[1] == mended.version and both.redis.versions() >= set(pair(both))
    go_back(both, serving_db, RollbackRequest(day(1), "bad", "tables"), NOON + 4 * HOUR)
    assert current(both, "demo_risk") == [(mended.version, day(0), 10, size(10))]


def test_a_rollback_serves_the_previous_version_and_withdraws_the_one_it_leaves(both, serving_db):
    first, second, third = publish_days(both, 1, 2, 3)
    assert go_back(both, serving_db, RollbackRequest(day(2), "bad", "tables"), NOON + 4 * HOUR) == [
        third
    ]
    assert states(both) == {first: "current", second: "current", third: "withdrawn"}
    assert pair(both) == (second, first) and both.redis.served() == second
    assert [row[2] for row in current(both, "demo_scores")] == [1, 2]


def test_publishing_again_does_not_undo_a_rollback(both, serving_db):
    _, second, third = publish_days(both, 1, 2, 3)
    go_back(both, serving_db, RollbackRequest(day(2), "bad", "tables"), NOON + 4 * HOUR)
    before = shown(both)
    again = night(both, edition(day(2), 3), NOON + 4 * HOUR)
    assert again.withdrawn and not again.served and again.loaded == []
    assert shown(both) == before and both.redis.served() == second and again.version == third
    mended = night(both, edition(day(2), 30), NOON + 5 * HOUR)
    assert mended.served and pair(both) == (mended.version, second)


def test_the_same_rollback_twice_goes_back_once(both, serving_db):
    first, second, _ = publish_days(both, 1, 2, 3)
    request = RollbackRequest(day(2), "bad", "tables")
    go_back(both, serving_db, request, NOON + 4 * HOUR)
    before = shown(both)
    assert go_back(both, serving_db, request, NOON + 5 * HOUR) == []
    assert shown(both) == before
    go_back(
        both,
        serving_db,
        RollbackRequest(day(2), "the one before is bad too", "tables"),
        NOON + 6 * HOUR,
    )
    assert pair(both) == (first,) and states(both)[second] == "withdrawn"
    with pytest.raises(DataError, match="no version before"):
        go_back(both, serving_db, RollbackRequest(day(2), "further", "tables"), NOON + 7 * HOUR)


def test_a_rollback_to_a_chosen_version_withdraws_all_that_lies_between(both, serving_db):
    first, second, third = publish_days(both, 1, 2, 3)
    assert set(
        go_back(both, serving_db, RollbackRequest(day(2), "bad", "tables", first), NOON + 4 * HOUR)
    ) == {
        second,
        third,
    }
    assert pair(both) == (first,) and both.redis.served() == first
    assert [row[2] for row in current(both, "demo_scores")] == [1]


def test_a_rollback_to_a_withdrawn_version_by_name_takes_the_rollback_back(both, serving_db):
    _, second, third = publish_days(both, 1, 2, 3)
    go_back(both, serving_db, RollbackRequest(day(2), "bad", "tables"), NOON + 4 * HOUR)
    assert (
        go_back(
            both,
            serving_db,
            RollbackRequest(day(2), "it was fine", "tables", third),
            NOON + 5 * HOUR,
        )
        == []
    )
    assert pair(both) == (third, second) and states(both)[third] == "current"


def test_a_newer_date_after_a_rollback_is_served(both, serving_db):
    publish_days(both, 1, 2, 3)
    go_back(both, serving_db, RollbackRequest(day(2), "bad", "tables"), NOON + 4 * HOUR)
    fourth = night(both, edition(day(3), 4), NOON + 5 * HOUR)
    assert fourth.served and [row[2] for row in current(both, "demo_scores")] == [1, 2, 4]


def test_a_rollback_to_what_is_not_there_names_what_is(both, serving_db):
    with pytest.raises(DataError, match="serves nothing"):
        rollback.plan(both, serving_db, RollbackRequest(FIRST, "bad", "tables"))
    (only,) = publish_days(both, 1)
    with pytest.raises(DataError, match=f"(?s)no version 20200101-0123456789ab.*{only}"):
        rollback.plan(
            both, serving_db, RollbackRequest(FIRST, "bad", "tables", "20200101-0123456789ab")
        )
    with pytest.raises(DataError, match="no version before"):
        rollback.plan(both, serving_db, RollbackRequest(FIRST, "bad", "tables"))


@pytest.mark.parametrize("wrong", [{"reason": " "}, {"what": "all"}, {"what": "tables", "to": "1"}])
def test_a_request_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ConfigError):
        RollbackRequest(**{"date": FIRST, "reason": "bad", **wrong})


def promote(dsn, n, digest, version):
    promotions.record(
        dsn,
        "demo",
        day(n),
        kind="promotion",
        from_digest=None,
        from_version=None,
        to_digest=digest,
        to_version=version,
        verdict="promoted",
        metrics={},
        reasons=[],
        approved_by="gate",
    )


def test_a_rollback_of_both_goes_to_the_model_that_made_the_tables(both, serving_db):
    old, new = "a" * 64, "b" * 64
    for n, model in enumerate((old, new)):
        promote(serving_db, n, model, str(n + 1))
        night(both, edition(day(n), n + 1, model=model), NOON + n * HOUR)
    request = RollbackRequest(day(1), "bad model")
    go_back(both, serving_db, request, NOON + 2 * HOUR)
    assert promotions.history(serving_db, "demo").pair == (old, None)
    row = promotions.history(serving_db, "demo")[-1]
    assert (row.kind, row.from_digest, row.to_digest, row.reasons) == (
        "rollback",
        new,
        old,
        ["bad model"],
    )
    assert current(both, "demo_risk")[0][2] == 1
    before = shown(both)
    go_back(both, serving_db, request, NOON + 3 * HOUR)
    assert shown(both) == before and len(promotions.history(serving_db, "demo")) == 3


def test_a_rollback_of_both_to_a_model_serves_the_newest_tables_it_made(both, serving_db):
    for n, model in enumerate("aabb"):
        promote(serving_db, n, model * 64, model)
        night(both, edition(day(n), n, model=model * 64), NOON + n * HOUR)
    go_back(both, serving_db, RollbackRequest(day(3), "bad", "both", "a"), NOON + 5 * HOUR)
    assert (
        current(both, "demo_risk")[0][2] == 1
        and promotions.history(serving_db, "demo").pair[0] == "a" * 64
    )


def test_a_rollback_of_the_model_alone_leaves_the_tables(both, serving_db):
    for n, model in enumerate("abc"):
        promote(serving_db, n, model * 64, model)
    publish_days(both, 1, 2, 3)
    before = shown(both)
    go_back(both, serving_db, RollbackRequest(day(2), "bad", "model"), NOON + 5 * HOUR)
    go_back(both, serving_db, RollbackRequest(day(2), "bad", "model"), NOON + 5 * HOUR)
    assert shown(both) == before and promotions.history(serving_db, "demo").pair == (
        "b" * 64,
        "a" * 64,
    )
    go_back(
        both, serving_db, RollbackRequest(day(2), "still bad", "model", "aaaaaaaa"), NOON + 5 * HOUR
    )
    assert promotions.history(serving_db, "demo").pair == ("a" * 64, None)
    with pytest.raises(DataError, match=r"matches no former champion(?s:.*)b \(bbbb"):
        rollback.plan(both, serving_db, RollbackRequest(day(2), "bad", "model", "unknown-model"))
    with pytest.raises(DataError, match="would change nothing"):
        rollback.plan(both, serving_db, RollbackRequest(day(1), "bad", "model", "b"))


def test_redis_comes_back_from_nothing(both):
    publish_days(both, 1, 2)
    before = shown(both)
    both.redis.client.flushdb()
    assert len(stores.bring_redis_to_postgres(both, NOON + 9 * HOUR)) == 2
    assert shown(both) == before


def test_a_thorough_reconcile_finds_a_single_lost_key(both):
    (version,) = publish_days(both, 1)
    both.redis.client.delete(f"ns:demo:{version}:demo_risk:c7")
    assert stores.bring_redis_to_postgres(both, NOON + HOUR) == []
    assert stores.bring_redis_to_postgres(both, NOON + HOUR, thorough=True) == [version]
    assert client.from_redis(both.redis, ENTITY, ("c7",))["stamp"] == 1


def test_content_that_does_not_read_back_is_not_served(both, monkeypatch):
    publish_days(both, 1)
    before = shown(both)
    wrong = edition(day(1), 2)
    wrong.__dict__["digests"] = dict.fromkeys(wrong.row_counts, "0" * 64)
    with pytest.raises(DataError, match=r"demo_risk\.content"):
        night(both, wrong, NOON + HOUR)
    night(both, edition(day(0), 1), NOON + 2 * HOUR)
    assert shown(both) == before and orphans(both) == []


def test_an_empty_day_is_published(both):
    publish_days(both, 1)
    empty = edition(day(1), 2)
    contents = {table: rows.slice(0, 0) for table, rows in empty.contents.items()}
    done = night(both, type(empty)(day(1), contents, None, None), NOON + HOUR)
    assert done.served and current(both, "demo_risk") == []
    with both.session.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM demo_scores_history")
        assert cursor.fetchone() == (size(1),)


def test_a_table_of_another_shape_is_refused_before_anything_is_written(both, serving_db):
    with pytest.raises(ConfigError, match=r"(?s)demo_risk.*tables\.py declares"):
        schema.ensure(
            both.session,
            "demo",
            [type(ENTITY)("demo_risk", ("other",), EVENT.schema, "", "entity")],
        )
    with pytest.raises(ConfigError, match="another pipeline already has the view"):
        schema.ensure(both.session, "other", [ENTITY])


def test_what_one_statement_reads_belongs_together(both):
    publish_days(both, 1, 2)
    with both.session.cursor() as cursor:
        assert postgres_shows(cursor) == (size(2), 2, 2, size(2), 2, 2)
    assert PARAMS.keep_versions == 10


def test_lost_tables_come_back_by_publishing_their_date_again(both):
    what = edition(FIRST, 3)
    before = night(both, what, NOON)
    with both.session, both.session.cursor() as cursor:
        cursor.execute("DROP TABLE demo.demo_risk_" + what.version.replace("-", "_"))
    with pytest.raises(stores.LostTables, match="are gone from PostgreSQL"):
        stores.bring_redis_to_postgres(both, NOON + HOUR)
    done = night(both, what, NOON + HOUR)
    assert done.loaded == ["demo_risk"] and done.version == before.version
    assert current(both, "demo_risk") == [(done.version, FIRST, 3, size(3))]
