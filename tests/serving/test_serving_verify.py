from __future__ import annotations

import pytest
from serving_cases import HOUR, NOON, day, edition, go_back, night

from jobs.core.checks import failed
from jobs.core.params import PublishParams
from jobs.serving.rollback import RollbackRequest
from jobs.serving.verify import verify


@pytest.fixture
def published(both):
    return [night(both, edition(day(n), n), NOON + n * HOUR) for n in range(3)]


def wrong(both, n, version):
    checks = verify(both, day(n), version, edition(day(n), n).contents, 10)
    return [check.name for check in failed(checks)], len(checks)


def test_what_was_published_reads_back(both, published):
    for n, done in enumerate(published):
        names, count = wrong(both, n, done.version)
        assert names == [] and count == (3 + 6 * 2 if n == 2 else 3 + 2 * 2)


def test_what_retention_dropped_is_not_asked_for(both, published):
    for n in (3, 4):
        night(
            both, edition(day(n), n), NOON + n * HOUR, PublishParams(keep_versions=2, keep_days=1)
        )
    assert wrong(both, 0, published[0].version) == ([], 3)


def test_a_withdrawn_version_must_not_be_served(both, published, serving_db):
    go_back(both, serving_db, RollbackRequest(day(2), "bad", "tables"), NOON + 3 * HOUR)
    assert wrong(both, 2, published[2].version) == ([], 1)
    assert wrong(both, 1, published[1].version)[0] == []


def test_a_version_that_was_never_published_fails(both, published):
    assert wrong(both, 2, "20180703-000000000000")[0] == ["20180703-000000000000.published"]


def test_a_superseded_version_fails(both, published):
    night(both, edition(day(2), 9), NOON + 3 * HOUR)
    assert wrong(both, 2, published[2].version)[0][0] == "current"


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        ("UPDATE demo.demo_risk SET score = -1", {"postgres.differing", "history.differing"}),
        ("DELETE FROM demo.demo_risk WHERE customer_id = 'c1'", {"postgres.rows", "history.rows"}),
    ],
)
def test_an_altered_table_in_postgres_is_found(both, published, spoil, named):
    with both.session.cursor() as cursor:
        cursor.execute(spoil)
    findings = {name.removeprefix("demo_risk.") for name in wrong(both, 2, published[2].version)[0]}
    assert named <= findings


def test_an_altered_redis_is_found(both, published):
    keys, version = both.redis, published[2].version
    keys.client.delete(f"ns:demo:{version}:demo_scores:t03%3A1:1")
    assert "demo_scores.redis.missing" in wrong(both, 2, version)[0]
    for key in keys.client.scan_iter(match=f"ns:demo:{version}:demo_risk:*"):
        keys.client.set(key, "{}")
    assert "demo_risk.redis.differing" in wrong(both, 2, version)[0]
    keys.point(published[1].version)
    assert "redis.pointer" in wrong(both, 2, version)[0]
