"""Despite damage in the stores, no flip goes to an incomplete version; publish repairs both."""

from __future__ import annotations

from contextlib import closing, contextmanager

import psycopg2
import pytest
import redis as redis_client
from serving_cases import HOUR, NOON, connect, day, edition, go_back, night, shown, states, tables

from jobs.core.checks import failed
from jobs.core.errors import ConfigError, StoreError
from jobs.serving import publications, stores
from jobs.serving.rollback import RollbackRequest
from jobs.serving.verify import verify

ENTITY, EVENT = tables()
IN_POSTGRES = {
    "another text": "UPDATE demo.demo_risk SET note = 'CafÃ©' WHERE customer_id = 'c3'",
    "another number": "UPDATE demo.demo_scores SET score = 0 WHERE part = 2",
    "null": "UPDATE demo.demo_scores SET flagged = NULL",
    "a row gone": "DELETE FROM demo.demo_risk WHERE customer_id = 'c1'",
    "every row gone": "DELETE FROM demo.demo_scores",
    "a row more": (
        "INSERT INTO demo.demo_risk SELECT version, date, 'stranger', stamp, score, note"
        " FROM demo.demo_risk WHERE customer_id = 'c1'"
    ),
    "both tables": "DELETE FROM demo.demo_risk; UPDATE demo.demo_scores SET note = 'x'",
}


def evict_half(keys, version):
    names = sorted(keys.client.scan_iter(match=f"ns:demo:{version}:*"))
    keys.client.delete(*names[::2])


def alter(keys, version):
    for name in keys.client.scan_iter(match=f"ns:demo:{version}:demo_risk:*"):
        keys.client.set(name, '{"stamp": -1}')


def lose_all(keys, version):
    keys.client.delete(*keys.client.scan_iter(match=f"ns:demo:{version}*"))


IN_REDIS = {
    "half of the keys evicted": evict_half,
    "documents altered": alter,
    "everything lost": lose_all,
}
redis_damage = pytest.mark.parametrize("damage", IN_REDIS.values(), ids=IN_REDIS)


@pytest.fixture
def published(both):
    return [night(both, edition(day(n), n + 1), NOON + n * HOUR).version for n in range(2)]


def wrong(both, n, version):
    return [
        check.name
        for check in failed(verify(both, day(n), version, edition(day(n), n + 1).contents, 500))
    ]


def whole_in_redis(both, n, version):
    return not any(
        both.redis.differing(version, t, rows)
        for t, rows in edition(day(n), n + 1).contents.items()
    )


@pytest.mark.parametrize(
    ("n", "damage"), [*((1, name) for name in IN_POSTGRES), (0, "both tables")]
)
def test_verify_is_red_and_its_remedy_mends(both, published, n, damage):
    before = shown(both)
    with both.session.cursor() as cursor:
        cursor.execute(restricted(IN_POSTGRES[damage], published[n]))
    assert wrong(both, n, published[n]) != []
    done = night(both, edition(day(n), n + 1), NOON + 9 * HOUR)
    assert done.version == published[n] and done.loaded != []
    assert wrong(both, n, published[n]) == [] and shown(both) == before


def restricted(spoil, version):
    """The statement, for the tables of one version alone."""
    suffix = version.replace("-", "_")
    return spoil.replace("demo.demo_risk", f"demo.demo_risk_{suffix}").replace(
        "demo.demo_scores", f"demo.demo_scores_{suffix}"
    )


def test_a_reader_with_an_open_transaction_neither_stops_the_mending_nor_is_disturbed(
    both, published, serving_db
):
    with closing(psycopg2.connect(serving_db)) as reader, reader.cursor() as cursor:
        reader.set_session(isolation_level="REPEATABLE READ")
        with both.session.cursor() as other:
            other.execute("UPDATE demo.demo_risk SET score = -1")
        cursor.execute("SELECT min(score), max(score), count(*) FROM demo_risk_current")
        seen = cursor.fetchone()
        night(both, edition(day(1), 2), NOON + 9 * HOUR)
        cursor.execute("SELECT min(score), max(score), count(*) FROM demo_risk_current")
        assert cursor.fetchone() == seen and seen[:2] == (-1, -1)
        reader.rollback()
        cursor.execute("SELECT min(score) FROM demo_risk_current")
        assert cursor.fetchone() == (2.0,)


def test_a_mending_that_does_not_read_back_changes_nothing(both, published):
    with both.session.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.score = 7; "
            "RETURN NEW; END$$"
        )
        suffix = published[1].replace("-", "_")
        cursor.execute(f"UPDATE demo.demo_risk_{suffix} SET note = 'x'")
        cursor.execute(
            f"CREATE TRIGGER spoil BEFORE INSERT ON demo.demo_risk_{suffix} "
            "FOR EACH ROW EXECUTE FUNCTION spoil()"
        )
    before = shown(both)
    with pytest.raises(Exception, match="content read back equals the predictions"):
        night(both, edition(day(1), 2), NOON + 9 * HOUR)
    assert shown(both) == before


@redis_damage
def test_a_rollback_first_loads_what_redis_lost_of_the_version(both, published, serving_db, damage):
    damage(both.redis, published[0])
    flips = []
    point = both.redis.point
    both.redis.point = lambda version: (
        flips.append(whole_in_redis(both, 0, version)),
        point(version),
    )
    go_back(both, serving_db, RollbackRequest(day(1), "bad", "tables"), NOON + 3 * HOUR)
    assert both.redis.served() == published[0] and flips == [True]
    assert wrong(both, 0, published[0]) == []


@redis_damage
def test_publishing_again_loads_what_redis_lost_of_the_version(both, published, damage):
    damage(both.redis, published[1])
    assert wrong(both, 1, published[1]) != []
    night(both, edition(day(1), 2), NOON + 3 * HOUR)
    assert wrong(both, 1, published[1]) == [] and whole_in_redis(both, 1, published[1])


@redis_damage
def test_reconcile_loads_what_redis_lost_of_the_pair(both, published, damage):
    for version in published:
        damage(both.redis, version)
    assert set(stores.bring_redis_to_postgres(both, NOON + 3 * HOUR, thorough=True)) == set(
        published
    )
    assert whole_in_redis(both, 0, published[0]) and whole_in_redis(both, 1, published[1])
    assert stores.bring_redis_to_postgres(both, NOON + 3 * HOUR, thorough=True) == []


@pytest.mark.parametrize("damage", ["another text", "a row gone"])
def test_no_rollback_to_what_postgres_does_not_hold_any_more(both, published, serving_db, damage):
    with both.session.cursor() as cursor:
        cursor.execute(restricted(IN_POSTGRES[damage], published[0]))
    before = shown(both)
    with pytest.raises(
        stores.LostTables, match=f"of {published[0]} in PostgreSQL is not what was published"
    ) as error:
        go_back(both, serving_db, RollbackRequest(day(1), "bad", "tables"), NOON + 3 * HOUR)
    assert f"publish {day(0)} again" in str(error.value)
    assert shown(both) == before and states(both)[published[1]] == "current"


def test_damaged_rows_never_get_from_postgres_into_redis(both, published):
    with both.session.cursor() as cursor:
        cursor.execute(restricted(IN_POSTGRES["another text"], published[1]))
    lose_all(both.redis, published[1])
    with pytest.raises(stores.LostTables):
        stores.bring_redis_to_postgres(both, NOON + 3 * HOUR)
    assert not list(both.redis.client.scan_iter(match=f"ns:demo:{published[1]}*"))
    night(both, edition(day(1), 2), NOON + 3 * HOUR)
    assert wrong(both, 1, published[1]) == []


def test_the_next_day_is_published_though_the_day_before_is_damaged(both, published):
    with both.session.cursor() as cursor:
        cursor.execute(restricted(IN_POSTGRES["another text"], published[1]))
    lose_all(both.redis, published[1])
    done = night(both, edition(day(2), 3), NOON + 3 * HOUR)
    assert (
        done.served and both.redis.served() == done.version and wrong(both, 2, done.version) == []
    )


@contextmanager
def memory(url, limit, policy):
    """The server with a limit to its memory in bytes, and this policy for what comes beyond."""
    with closing(redis_client.Redis.from_url(url)) as admin:
        admin.config_set("maxmemory-policy", policy)
        admin.config_set("maxmemory", limit)
        try:
            yield
        finally:
            admin.config_set("maxmemory", 0)
            admin.config_set("maxmemory-policy", "noeviction")


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-random"])
def test_a_redis_that_would_drop_served_rows_is_refused_before_the_flip(
    both, published, serving_db, redis_url, policy
):
    before = shown(both)
    with memory(redis_url, 10**9, policy):
        with pytest.raises(
            ConfigError, match=f"(?s){policy}.*CONFIG SET maxmemory-policy noeviction"
        ):
            night(both, edition(day(2), 3), NOON + 3 * HOUR)
        with pytest.raises(ConfigError, match=policy):
            go_back(both, serving_db, RollbackRequest(day(1), "bad", "tables"), NOON + 3 * HOUR)
    after = shown(both)
    assert (after["served"], after["pointer"], after["redis"]) == (
        before["served"],
        before["pointer"],
        before["redis"],
    )


@pytest.mark.parametrize("policy", ["volatile-lru", "noeviction"])
def test_a_policy_that_drops_only_what_expires_is_none_of_ours(both, redis_url, policy):
    with memory(redis_url, 10**9, policy):
        assert night(both, edition(day(0), 1), NOON).served


def test_a_full_redis_is_an_error_that_says_so_and_the_old_version_is_served(
    both, published, serving_db, redis_url
):
    with (
        memory(redis_url, 1, "noeviction"),
        pytest.raises(StoreError, match="maxmemory") as error,
        connect(serving_db, redis_url) as own,
    ):
        night(own, edition(day(2), 3), NOON + 3 * HOUR)
    assert "Redis is full" in str(error.value) and "raise maxmemory" in str(error.value)
    assert publications.served(both.session, "demo").version == published[1] == both.redis.served()
    assert wrong(both, 1, published[1]) == []
    assert night(both, edition(day(2), 3), NOON + 3 * HOUR).served
