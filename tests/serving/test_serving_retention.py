from __future__ import annotations

from datetime import timedelta

import psycopg2
from serving_cases import HOUR, NOON, connect, day, edition, go_back, night, orphans, states, tables

from jobs.core.params import PublishParams
from jobs.serving import partitions, publications, retention
from jobs.serving.rollback import RollbackRequest
from jobs.steps.publish import facts_of

ENTITY, EVENT = tables()
KEEP = PublishParams(keep_versions=2, keep_days=3)


def held(both, table):
    """The days of the versions that are kept, newest first."""
    attached = partitions.attached(both.session, "demo", table)
    kept = publications.every(both.session, "demo")
    return [(each.date - day(0)).days for each in kept if each.version in attached]


def publish_days(both, count, apart=HOUR, params=KEEP):
    for n in range(count):
        night(both, edition(day(n), n), NOON + n * apart, params)


def test_entity_tables_keep_the_newest_versions_and_event_tables_the_newest_days(both):
    publish_days(both, 7)
    # Day 4 has left the pair with the last publish, less than 60 s ago.
    assert held(both, ENTITY) == [6, 5, 4] and held(both, EVENT) == [6, 5, 4, 3]
    retention.retain(both.session, "demo", both.tables, KEEP, NOON + 7 * HOUR)
    assert held(both, ENTITY) == [6, 5] and held(both, EVENT) == [6, 5, 4, 3]
    assert orphans(both) == [] and len(states(both)) == 7


def test_nothing_goes_within_sixty_seconds_after_it_left_the_pair(both):
    publish_days(both, 6, apart=timedelta(seconds=1))
    assert held(both, ENTITY) == [5, 4, 3, 2, 1, 0]
    last = NOON + timedelta(seconds=5)  # when day 3 left the pair; day 2 a second before
    retention.retain(both.session, "demo", both.tables, KEEP, last + timedelta(seconds=59))
    assert held(both, ENTITY) == [5, 4, 3]
    retention.retain(both.session, "demo", both.tables, KEEP, last + timedelta(seconds=60))
    assert held(both, ENTITY) == [5, 4]


def test_served_and_previous_stay_however_old(both, serving_db):
    wide = PublishParams(keep_versions=10, keep_days=10)
    publish_days(both, 6, params=wide)
    second = publications.every(both.session, "demo")[-2].version
    go_back(both, serving_db, RollbackRequest(day(5), "bad", "tables", second), NOON + 6 * HOUR)
    retention.retain(both.session, "demo", both.tables, KEEP, NOON + 9 * HOUR)
    assert held(both, ENTITY) == [5, 4, 1, 0]
    assert set(publications.served(both.session, "demo").pair) <= partitions.attached(
        both.session, "demo", EVENT
    )


def test_superseded_versions_of_event_tables_go_beyond_keep_versions(both):
    for stamp in range(6):
        night(both, edition(day(0), stamp), NOON + stamp * HOUR, KEEP)
    retention.retain(both.session, "demo", both.tables, KEEP, NOON + 9 * HOUR)
    assert len(held(both, EVENT)) == 3 and len(held(both, ENTITY)) == 2


def test_what_retention_dropped_is_loaded_again_when_it_is_published_again(both):
    publish_days(both, 5)
    done = night(both, edition(day(0), 0), NOON + 9 * HOUR, KEEP)
    assert done.loaded == ["demo_risk", "demo_scores"] and not done.served
    assert (
        len(done.dropped) >= 2
        and held(both, ENTITY) == [4, 3]
        and held(both, EVENT) == [4, 3, 2, 1]
    )


def test_redis_holds_the_served_and_the_previous_version_only(both):
    publish_days(both, 4)
    assert both.redis.versions() == set(publications.served(both.session, "demo").pair)
    keys = list(both.redis.client.scan_iter(match="ns:demo:20180701-*"))
    assert keys == []


def test_what_a_rollback_left_stays_in_redis_while_clients_may_have_it_cached(both, serving_db):
    publish_days(both, 3)
    left = both.redis.served()
    go_back(both, serving_db, RollbackRequest(day(2), "bad", "tables"), NOON + 3 * HOUR)
    assert left in both.redis.versions()
    night(both, edition(day(3), 3), NOON + 4 * HOUR, KEEP)
    assert left not in both.redis.versions()


def test_a_reader_in_the_way_delays_a_drop_and_nobody_waits_behind_it(
    both, serving_db, redis_url, monkeypatch
):
    monkeypatch.setattr(retention, "_LOCK_TIMEOUT", "300ms")
    publish_days(both, 4)
    reader = psycopg2.connect(serving_db)
    with reader.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM demo_risk_history")
    # A publish while an analyst's transaction is open: it goes through, the drop has to wait.
    done = night(both, edition(day(4), 4), NOON + 4 * HOUR, KEEP)
    assert done.served and not done.retention_complete and "retention" in facts_of(done).to_json()
    assert partitions.half_detached(both.session, "demo", ENTITY) and 1 not in held(both, ENTITY)
    with connect(serving_db, redis_url) as other, other.session.cursor() as cursor:
        cursor.execute("SET statement_timeout = '2s'")
        cursor.execute("SELECT count(*) FROM demo_risk_current")
    # And the next one while it is still open, and the one after it ended.
    assert night(both, edition(day(5), 5), NOON + 5 * HOUR, KEEP).served
    reader.close()
    done = night(both, edition(day(6), 6), NOON + 6 * HOUR, KEEP)
    assert done.retention_complete and held(both, ENTITY) == [6, 5, 4] and orphans(both) == []


def test_half_a_load_is_dropped_and_begun_anew(both):
    publish_days(both, 1)
    what = edition(day(1), 2)
    publications.begin(
        both.session, "demo", what.version, what.date, what.row_counts, what.digests, NOON
    )
    table, rows = next(iter(what.contents.items()))
    partitions.load(both.session, "demo", table, what.version, rows.slice(0, 3))
    other = night(both, edition(day(1), 3), NOON + HOUR, KEEP)
    assert other.served and orphans(both) == [] and what.version not in states(both)
    assert night(both, what, NOON + 2 * HOUR, KEEP).served
