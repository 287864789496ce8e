from __future__ import annotations

import json
from contextlib import closing
from datetime import date

import pyarrow as pa
import pytest
import redis as redis_client

from declared import columns_of
from jobs.core.errors import StoreError
from jobs.core.tables import Table
from jobs.serving import lookup as client
from jobs.stores import redis
from jobs.stores.redis import connect_redis

RISK = Table(
    "risk",
    ("customer_id",),
    columns_of(
        pa.schema([("date", pa.date32()), ("customer_id", pa.string()), ("score", pa.float64())])
    ),
    "",
    "entity",
)
VERSION, OTHER = "20180701-0123456789ab", "20180702-0123456789ab"
DIGESTS = {"risk": "d" * 64}


def rows(count, score=0.5):
    day = [date(2018, 7, 1)] * count
    ids = [f"c{n}" if n % 2 else f"ä {n}:/" for n in range(count)]
    return pa.table({"date": day, "customer_id": ids, "score": [score] * count}, schema=RISK.schema)


@pytest.fixture
def keys(redis_url):
    with connect_redis(redis_url, "demo") as opened:
        yield opened


def load(keys, version, content, batch=redis.BATCH):
    checks = keys.load(version, {RISK: content}, DIGESTS, batch)
    assert all(check.passed for check in checks)


@pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001, 25_003])
def test_what_is_loaded_is_there_and_the_version_is_complete(keys, count):
    content = rows(count)
    load(keys, VERSION, content)
    assert keys.complete(VERSION, {"risk": count}, DIGESTS)
    assert keys.missing(VERSION, RISK, content) == 0 and keys.differing(VERSION, RISK, content) == 0
    assert sum(1 for _ in keys.client.scan_iter(match=f"ns:demo:{VERSION}:risk:*")) == count


def test_keys_and_documents_are_as_the_contract_says(keys):
    load(keys, VERSION, rows(2))
    keys.point(VERSION)
    assert keys.client.get("ns:demo:current") == VERSION
    assert json.loads(keys.client.get(f"ns:demo:{VERSION}:risk:c1")) == {
        "date": "2018-07-01",
        "customer_id": "c1",
        "score": 0.5,
    }
    assert keys.client.get(f"ns:demo:{VERSION}:risk:%C3%A4%200%3A%2F") is not None


def test_a_version_is_complete_with_this_very_content_only(keys):
    load(keys, VERSION, rows(3))
    assert not keys.complete(VERSION, {"risk": 4}, DIGESTS)
    assert not keys.complete(VERSION, {"risk": 3}, {"risk": "e" * 64})
    assert not keys.complete(OTHER, {"risk": 3}, DIGESTS)


def test_a_load_that_does_not_read_back_leaves_the_version_incomplete(keys, monkeypatch):
    monkeypatch.setattr(keys, "missing", lambda *_: 1)
    checks = keys.load(VERSION, {RISK: rows(3)}, DIGESTS)
    assert [check.name for check in checks if not check.passed] == ["redis.risk.missing"]
    assert not keys.complete(VERSION, {"risk": 3}, DIGESTS)


def test_lost_and_altered_keys_are_counted(keys):
    content = rows(50)
    load(keys, VERSION, content)
    keys.client.delete(f"ns:demo:{VERSION}:risk:c1", f"ns:demo:{VERSION}:risk:c3")
    keys.client.set(f"ns:demo:{VERSION}:risk:c5", "{}")
    assert keys.missing(VERSION, RISK, content, batch=7) == 2
    assert keys.differing(VERSION, RISK, content) == 3


def test_loading_again_writes_over_what_was_there(keys):
    load(keys, VERSION, rows(10, score=0.1))
    load(keys, VERSION, rows(10, score=0.2), batch=3)
    assert json.loads(keys.get(VERSION, RISK, "c1"))["score"] == 0.2


def test_dropping_one_version_leaves_the_other(keys):
    load(keys, VERSION, rows(2500))
    load(keys, OTHER, rows(10))
    keys.point(OTHER)
    keys.drop(VERSION)
    assert keys.versions() == {OTHER} and not keys.complete(VERSION, {"risk": 2500}, DIGESTS)
    assert not list(keys.client.scan_iter(match=f"ns:demo:{VERSION}*"))
    assert keys.complete(OTHER, {"risk": 10}, DIGESTS) and keys.missing(OTHER, RISK, rows(10)) == 0


def test_pipelines_do_not_meet(keys, redis_url):
    load(keys, VERSION, rows(3))
    with connect_redis(redis_url, "dem") as other:
        assert other.served() is None and other.versions() == set()
        load(other, VERSION, rows(1))
        other.drop(VERSION)
    assert keys.missing(VERSION, RISK, rows(3)) == 0


def test_a_lookup_follows_a_pointer_that_moves_between_its_two_reads(keys):
    load(keys, VERSION, rows(4, score=0.1))
    load(keys, OTHER, rows(4, score=0.2))
    keys.point(VERSION)
    asked = keys.get

    def moved(version, table, identifier):
        keys.point(OTHER)
        keys.drop(VERSION)
        return asked(version, table, identifier)

    keys.get = moved
    assert client.from_redis(keys, RISK, ("c1",)) == {
        "version": OTHER,
        "date": "2018-07-01",
        "customer_id": "c1",
        "score": 0.2,
    }
    assert client.from_redis(keys, RISK, ("nobody",)) is None


def test_nothing_served_is_no_answer(keys):
    assert client.from_redis(keys, RISK, ("c1",)) is None


def test_a_server_that_is_down_or_full_is_a_store_error(redis_url):
    with (
        pytest.raises(StoreError, match="Redis"),
        connect_redis("redis://127.0.0.1:1/0", "demo") as keys,
    ):
        keys.served()
    with (
        closing(redis_client.Redis.from_url(redis_url)) as admin,
        pytest.raises(StoreError, match="maxmemory"),
    ):
        used = admin.info("memory")["used_memory"]
        admin.config_set("maxmemory", used + 100_000)
        try:
            with connect_redis(redis_url, "demo") as keys:
                keys.load(VERSION, {RISK: rows(20_000)}, DIGESTS)
        finally:
            admin.config_set("maxmemory", 0)


TOP = Table(
    "top",
    ("user_id", "rank"),
    columns_of(pa.schema([("date", pa.date32()), ("user_id", pa.string()), ("rank", pa.int64())])),
    "",
    "entity",
    ranked=True,
)


def test_the_ranked_rows_of_one_user_are_one_array(keys):
    users = [(f"u{n}", rank) for rank in (3, 1, 2) for n in range(40)]
    content = pa.Table.from_pylist(
        [{"date": date(2018, 7, 1), "user_id": user, "rank": rank} for user, rank in users],
        schema=TOP.schema,
    )
    assert all(check.passed for check in keys.load(VERSION, {TOP: content}, {"top": "d"}, 7))
    keys.point(VERSION)
    answer = client.from_redis(keys, TOP, ("u7",))
    assert answer["version"] == VERSION and [row["rank"] for row in answer["rows"]] == [1, 2, 3]
    assert sum(1 for _ in keys.client.scan_iter(match=f"ns:demo:{VERSION}:top:*")) == 40
    keys.client.set(f"ns:demo:{VERSION}:top:u1", "[]")
    keys.client.delete(f"ns:demo:{VERSION}:top:u2")
    assert keys.differing(VERSION, TOP, content) == 2 and keys.missing(VERSION, TOP, content) == 1
