"""A publish or rollback killed at any named point and run again ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import serving_cases
from serving_cases import (
    HOUR,
    NOON,
    connect,
    day,
    edition,
    go_back,
    night,
    orphans,
    postgres_shows,
    shown,
    size,
)

from jobs.core.failpoint import VARIABLE
from jobs.core.params import PublishParams
from jobs.core.settings import PROJECT
from jobs.serving import publish, rollback

KEEP = {"keep_versions": 2, "keep_days": 1, "redis_batch": 16}
POINTS = ("publish.stage", "publish.check", "publish.swap", *publish.FAILPOINTS)
BEFORE = 4  # nights, so that retention has something to drop in every night that follows


def publish_night(both, n):
    night(both, edition(day(n), n, both.pipeline), NOON + n * HOUR, PublishParams(**KEEP))


def killed(what, failpoint, n, both, dsn, redis_url):
    """Run night `n` in a process of its own and see it die at the failpoint."""
    asked = {
        "what": what,
        "dsn": dsn,
        "redis": redis_url,
        "pipeline": both.pipeline,
        "stamp": n,
        "params": KEEP,
        "day": str(day(n)),
        "now": str(NOON + n * HOUR),
    }
    path = os.pathsep.join(map(str, (PROJECT, PROJECT / "tests")))
    environment = os.environ | {VARIABLE: failpoint, "PYTHONPATH": path}
    script = Path(serving_cases.__file__)
    done = subprocess.run(
        [sys.executable, script, json.dumps(asked)],
        env=environment,
        capture_output=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, (
        f"{failpoint}: {done.returncode} {done.stderr.decode()}"
    )


def whole(both, *stamps):
    """Both stores show one whole edition, one of `stamps`."""
    with both.session.cursor() as cursor:
        rows, low, high, *event = postgres_shows(cursor, both.pipeline)
    assert low == high and low in stamps and rows == size(low) and event == [rows, low, low]
    version = both.redis.served()
    keys = list(both.redis.client.scan_iter(match=f"ns:{both.pipeline}:{version}:*"))
    found = {json.loads(text)["stamp"] for text in both.redis.client.mget(keys)}
    assert len(found) == 1 and found <= set(stamps) and len(keys) == 2 * size(found.pop())


@pytest.fixture
def calm(serving_db, redis_url):
    """The pipeline that nothing happens to."""
    with connect(serving_db, redis_url, "calm") as both:
        for n in range(BEFORE):
            publish_night(both, n)
        yield both


@pytest.fixture
def rough(serving_db, redis_url):
    """The same nights, of a pipeline that is killed."""
    with connect(serving_db, redis_url, "rough") as both:
        for n in range(BEFORE):
            publish_night(both, n)
        yield both


def test_a_publish_killed_at_each_point_and_run_again(calm, rough, serving_db, redis_url):
    for n, failpoint in enumerate(POINTS, BEFORE):
        publish_night(calm, n)
        killed("publish", failpoint, n, rough, serving_db, redis_url)
        whole(rough, n - 1, n)
        publish_night(rough, n)
        whole(rough, n)
        assert shown(rough) == shown(calm), failpoint
        assert orphans(rough) == [] and len(rough.redis.versions()) == 2, failpoint


def test_a_rollback_killed_and_run_again(calm, rough, serving_db, redis_url):
    request, now = rollback.RollbackRequest(day(BEFORE), "bad", "tables"), NOON + BEFORE * HOUR
    go_back(calm, serving_db, request, now)
    (failpoint,) = rollback.FAILPOINTS
    killed("rollback", failpoint, BEFORE, rough, serving_db, redis_url)
    whole(rough, BEFORE - 2, BEFORE - 1)
    go_back(rough, serving_db, request, now)
    whole(rough, BEFORE - 2)
    assert shown(rough) == shown(calm)
