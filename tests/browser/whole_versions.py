"""A client that reads both stores while their pointers move, and must see whole versions only."""

from __future__ import annotations

import json
import threading
import time
from contextlib import closing, contextmanager

import psycopg2
import redis

ENTITIES = {"customer_risk": "customer_id", "merchant_risk": "merchant_id"}
# One statement, one snapshot: what is served, and what the views show of it.
SHOWN = """
    SELECT served.version, publication.row_counts,
        (SELECT json_build_array(count(*), min(version), max(version)) FROM customer_risk_current),
        (SELECT json_build_array(count(*), min(version), max(version)) FROM merchant_risk_current),
        (SELECT json_build_array(count(*), min(version), max(version))
            FROM transaction_scores_current WHERE date = publication.date)
    FROM served JOIN publication USING (version) WHERE served.pipeline = 'fraud'
"""


class Seen:
    """The versions that one store showed, in order, each with the time it first appeared.

    `reads` counts how often the client read.
    """

    def __init__(self):
        self.reads, self.versions = 0, []

    def add(self, version):
        self.reads += 1
        if not self.versions or self.versions[-1][0] != version:
            self.versions.append((version, time.monotonic()))


def read_postgres(dsn, stop, seen):
    """Each table that the views show is of the served version alone, and has all of its rows."""
    with closing(psycopg2.connect(dsn)) as session, session.cursor() as cursor:
        session.autocommit = True
        while not stop.is_set():
            cursor.execute(SHOWN)
            version, counts, *shown = cursor.fetchone()
            for name, (rows, low, high) in zip(
                (*ENTITIES, "transaction_scores"), shown, strict=True
            ):
                assert rows == counts[name] and low == high == version, (
                    f"{name} of {version}: {rows} of {low}..{high}"
                )
            seen.add(version)


def read_redis(url, ids, stop, seen):
    """Every key that both versions have is there under the pointer, and all are of one day."""
    with closing(redis.Redis.from_url(url, decode_responses=True)) as client:
        while not stop.is_set():
            version = client.get("ns:fraud:current")
            documents = client.mget([f"ns:fraud:{version}:{name}" for name in ids])
            days = {text and json.loads(text)["date"] for text in documents}
            assert len(days) == 1 and next(iter(days)).replace("-", "") == version[:8], (
                version,
                days,
            )
            seen.add(version)


def shared_ids(url):
    """`<table>:<id>` of what each version in Redis has."""
    with closing(redis.Redis.from_url(url, decode_responses=True)) as client:
        keys = [key.split(":", 3)[2:] for key in client.scan_iter(match="ns:fraud:*:*", count=5000)]
    versions = {version for version, _ in keys}
    held = [{name for version, name in keys if version == each} for each in versions]
    assert len(versions) > 1
    return sorted(set.intersection(*held))[:200]


@contextmanager
def read_throughout(place):
    """Two clients read while the body runs: `with read_throughout(place) as (postgres, redis)`.

    Leaving the context raises whatever error a client hit.
    """
    stop, errors, stores = threading.Event(), [], (Seen(), Seen())

    def guarded(target, *arguments):
        try:
            target(*arguments)
        except BaseException as error:
            errors.append(error)

    threads = [
        threading.Thread(target=guarded, args=(read_postgres, place.postgres, stop, stores[0])),
        threading.Thread(
            target=guarded, args=(read_redis, place.redis, shared_ids(place.redis), stop, stores[1])
        ),
    ]
    for thread in threads:
        thread.start()
    try:
        yield stores
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not errors, errors[0]
    assert all(seen.reads > 100 for seen in stores), [seen.reads for seen in stores]
