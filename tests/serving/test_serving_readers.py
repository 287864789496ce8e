"""Readers during publishes, rollbacks and retention never see half a version or a mixture."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager

import psycopg2
import pytest
import redis as redis_client
from serving_cases import (
    HOUR,
    connect,
    day,
    edition,
    go_back,
    night,
    postgres_shows,
    size,
    states,
    tables,
)

from jobs.core import locks
from jobs.core.manifest import utc_now
from jobs.core.params import PublishParams
from jobs.serving import partitions, publications
from jobs.serving.rollback import RollbackRequest

ENTITY, EVENT = tables()
NIGHTS = 22


def whole(rows, low, high):
    assert low == high and rows == size(low), f"{rows} rows of {low}..{high}"


def read_postgres(dsn, stop, seen, prepared=False):
    session = psycopg2.connect(dsn)
    session.autocommit = True
    with session.cursor() as cursor:
        if prepared:  # as a pooled application does: one plan for ever
            cursor.execute("SET plan_cache_mode = force_generic_plan")
            cursor.execute(
                "PREPARE lookup AS SELECT count(*), min(stamp), max(stamp) FROM demo_risk_current"
            )
        while not stop.is_set():
            if prepared:
                cursor.execute("EXECUTE lookup")
                whole(*cursor.fetchone())
            else:
                entity_rows, *entity, event_rows, low, high = postgres_shows(cursor)
                whole(entity_rows, *entity)
                whole(event_rows, low, high)
                assert entity[0] == low, "the tables are of two versions"
            seen.append(1)
    session.close()


def read_redis(url, stop, seen, cache_seconds=0.0):
    """A client of every key of the served version; keeps the pointer for `cache_seconds`."""
    client, version, since = redis_client.Redis.from_url(url, decode_responses=True), None, 0.0
    while not stop.is_set():
        if time.monotonic() - since >= cache_seconds:
            version, since = client.get("ns:demo:current"), time.monotonic()
        documents = [
            text and json.loads(text)
            for text in client.mget([f"ns:demo:{version}:demo_risk:c{n}" for n in range(50)])
        ]
        if not any(documents) and client.get("ns:demo:current") != version and not cache_seconds:
            continue  # two publishes between the two reads: read again, as client.from_redis does
        stamps = {row["stamp"] for row in documents if row}
        assert len(stamps) == 1 and sum(map(bool, documents)) == size(stamps.pop()), (
            version,
            documents,
        )
        seen.append(1)
    client.close()


@contextmanager
def readers(*targets):
    """Threads that read until the body ends; each must have read, and what one raised comes out."""
    stop, errors, counts = threading.Event(), [], []

    def guarded(target, arguments, seen):
        try:
            target(*arguments[:1], stop, seen, *arguments[1:])
        except BaseException as error:
            errors.append(error)

    threads = []
    for target, *arguments in targets:
        counts.append([])
        threads.append(threading.Thread(target=guarded, args=(target, arguments, counts[-1])))
        threads[-1].start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not errors, errors[0]
    assert all(len(seen) > 20 for seen in counts), [len(seen) for seen in counts]


@pytest.mark.parametrize(
    "hours_apart", [0, 1], ids=["in quick succession", "with retention at work"]
)
def test_no_reader_sees_a_half_or_mixed_version(both, serving_db, redis_url, hours_apart):
    now, params = utc_now(), PublishParams(keep_versions=2, keep_days=2, redis_batch=7)
    night(both, edition(day(0), 100), now, params)
    # A clock that jumps lets versions go that a client with a cached pointer may still read.
    patient = [] if hours_apart else [(read_redis, redis_url, 1.0)]
    with readers(
        (read_postgres, serving_db),
        (read_postgres, serving_db, True),
        (read_redis, redis_url),
        *patient,
    ):
        for n in range(1, NIGHTS):
            now = now + HOUR if hours_apart else utc_now()
            night(both, edition(day(n), 100 + n), now, params)
            if n % 4 == 0:
                go_back(both, serving_db, RollbackRequest(day(n), f"bad {n}", "tables"), now)
            if n % 5 == 0:
                night(both, edition(day(n), 200 + n), now, params)
    if hours_apart:
        assert (
            len(partitions.attached(both.session, "demo", ENTITY)) <= 5
        )  # retention did work during the reads
        assert both.redis.versions() <= set(publications.served(both.session, "demo").pair) | set(
            states(both)
        )


def test_no_reader_sees_a_mixture_while_damaged_tables_are_loaded_again(both, serving_db):
    """The damage keeps the row count and changes every stamp, so readers can tell old from new."""
    night(both, edition(day(0), 100), utc_now())
    with readers((read_postgres, serving_db), (read_postgres, serving_db, True)):
        for _ in range(6):
            with both.session as session, session.cursor() as cursor:
                for table in both.tables:
                    cursor.execute(f"UPDATE demo.{table.name} SET stamp = stamp + 700")
            done = night(both, edition(day(0), 100), utc_now())
            assert done.loaded == [table.name for table in both.tables]
    with both.session.cursor() as cursor:
        assert postgres_shows(cursor)[1:3] == (100, 100)


def test_two_publishers_of_one_pipeline_go_one_after_the_other(both, serving_db, redis_url):
    night(both, edition(day(0), 1), utc_now())
    errors = []

    def publisher(n):
        try:
            with (
                locks.hold(serving_db, "demo", f"publisher {n}"),
                connect(serving_db, redis_url) as own,
            ):
                night(own, edition(day(1), n), utc_now())
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=publisher, args=(n,)) for n in (10, 10, 11, 12)]
    with readers((read_postgres, serving_db), (read_redis, redis_url)):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        time.sleep(0.3)
    assert not errors, errors[0]
    assert sorted(states(both).values()) == ["current", "current", "superseded", "superseded"]
    assert both.redis.served() == publications.served(both.session, "demo").version


def test_the_first_tables_are_made_once_by_two_processes_at_once(serving_db, redis_url):
    errors = []

    def opener():
        try:
            with connect(serving_db, redis_url):
                pass
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=opener) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors[0]


@pytest.mark.parametrize("relation", ["demo_risk_current", "demo_risk_history", "demo.demo_risk"])
def test_the_meaning_is_documented_in_the_column(both, relation):
    with both.session.cursor() as cursor:
        cursor.execute(
            "SELECT attname, col_description(attrelid, attnum) FROM pg_attribute"
            " WHERE attrelid = to_regclass(%s) AND attnum > 0",
            (relation,),
        )
        comments = dict(cursor.fetchall())
    assert comments.items() >= {column.name: column.comment for column in ENTITY.columns}.items()
    assert comments["version"]


def test_settle_waits_for_who_reads_already(both, serving_db):
    night(both, edition(day(0), 1), utc_now())
    reader = psycopg2.connect(serving_db)
    with reader.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM demo_risk_current")
    timer = threading.Timer(0.4, reader.rollback)
    start = time.monotonic()
    timer.start()
    partitions.settle(both.session, "demo", [ENTITY, EVENT])
    assert 0.3 < time.monotonic() - start < 3
    reader.close()
