"""A service that cannot serve us says why at once; and no advice costs data."""

from __future__ import annotations

import re
import subprocess
import time
from contextlib import closing
from datetime import date

import psycopg2
import pyarrow as pa
import pytest
import redis
import sqlalchemy
from psycopg2.extensions import parse_dsn

from jobs.core.errors import StoreError
from jobs.core.manifest import utc_now
from jobs.core.params import PublishParams
from jobs.core.settings import AIRFLOW_DB, PROJECT
from jobs.local import airflow, embedded, mlflow, postgres
from jobs.local import redis as embedded_redis
from jobs.local.refill import refill
from jobs.local.services import start, stop, wait
from jobs.local.state import State, write
from jobs.serving import stores
from jobs.serving.publish import Edition, Publishing
from jobs.usecases.discovery import find_usecase

AWKWARD = "p@ss:/ %20?#[]&='\"\\$é"
DAMAGE = {
    "a broken command": b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$9\r\nxx",
    "bytes of another file": b"\x00\xff" * 400,
    "nonsense in the middle": b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\nnonsense\r\n*1\r\n",
}


@pytest.fixture
def state(tmp_path):
    made = State(tmp_path / "home")
    made.prepare()
    return made


@pytest.fixture
def served(state):
    """A Redis of its own home, started; ended after the test."""
    embedded_redis.prepare(state)
    start(embedded_redis.service(state))
    wait(embedded_redis.service(state))
    yield embedded_redis.url(state)
    stop(embedded_redis.service(state))


def test_addresses_hold_any_password(state, monkeypatch):
    monkeypatch.delenv(AIRFLOW_DB, raising=False)
    names = ("source", "serving", "mlflow", "airflow", "redis")
    write(state.home / "secrets.json", dict.fromkeys(names, AWKWARD))
    for name in postgres.DATABASES:
        assert parse_dsn(postgres.dsn(state, name))["password"] == AWKWARD
    given = [
        airflow.environment(state)["NIGHTSHIFT_AIRFLOW_DB"],
        mlflow.service(state).environment["MLFLOW_BACKEND_STORE_URI"],
    ]
    assert [sqlalchemy.make_url(address).password for address in given] == [AWKWARD] * 2
    known = redis.ConnectionPool.from_url(embedded_redis.url(state)).connection_kwargs
    assert (known["username"], known["password"]) == ("default", AWKWARD)


@pytest.fixture
def awkward(state):
    write(state.home / "secrets.json", {"redis": AWKWARD})


@pytest.mark.process
def test_the_printed_address_is_one_that_redis_cli_takes(awkward, served):
    command = embedded_redis._binary().with_name("redis-cli")
    done = subprocess.run(
        [command, "-u", served, "ping"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "PONG\n"


def test_a_refusal_is_said_at_once_and_in_the_servers_words(state, served, services):
    before = time.monotonic()
    write(state.home / "secrets.json", {"redis": "another"})
    with pytest.raises(StoreError, match=r"(?s)refused the connection.*WRONGPASS|invalid username"):
        wait(embedded_redis.service(state))
    write(state.home / "secrets.json", {postgres.ADMIN: "another"})
    write(state.home / "ports.json", {"postgres": str(State(services.home).port("postgres"))})
    with pytest.raises(StoreError, match="password authentication failed") as error:
        wait(postgres.service(state))
    assert time.monotonic() - before < 5
    assert "purge" not in str(error.value) and "stays in" in str(error.value)


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_file_of_redis_is_kept_and_redis_filled_from_postgres(
    damage, state, served, serving_db
):
    content = edition()
    publish_to(serving_db, served, content)
    stop(embedded_redis.service(state))
    file = state.home / "redis" / "appendonly.aof"
    broken = file.read_bytes()[:200] + damage + file.read_bytes()[200:]
    file.write_bytes(broken)

    heard = []
    start(embedded_redis.service(state))
    embedded._await_redis(state, lambda service, doing: heard.append(doing))
    refill(serving_db, served, lambda service, doing: heard.append(doing))

    (kept,) = file.parent.glob("appendonly.aof.damaged-*")
    assert kept.read_bytes() == broken and str(kept) in heard[0]
    assert f"loaded {content.version} of fraud from PostgreSQL" in heard
    with stores.connect_serving_stores(
        serving_db, served, "fraud", find_usecase("fraud").predictions
    ) as both:
        assert both.redis.served() == content.version
        for table, rows in content.contents.items():
            assert both.redis.differing(content.version, table, rows) == 0


def test_what_goes_wrong_in_filling_redis_keeps_no_service_down(served, serving_db):
    publish_to(serving_db, served, edition())
    with closing(redis.Redis.from_url(served)) as client:
        client.flushdb()
        client.config_set("maxmemory", 1)
        heard = []
        refill(serving_db, served, lambda service, doing: heard.append(doing))
        client.config_set("maxmemory", 0)
    assert len(heard) == 1 and "maxmemory" in heard[0]


def test_before_anything_is_served_there_is_nothing_to_fill(served, serving_db):
    refill(serving_db, served, pytest.fail)
    with closing(psycopg2.connect(serving_db)) as session, session.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        assert cursor.fetchone() == (0,)


def test_no_text_that_a_person_reads_advises_to_delete_what_stores_hold():
    """Only the option itself describes a purge; the runbook says what it costs."""
    destructive = re.compile(
        r"--purge|DROP DATABASE|FLUSHALL|FLUSHDB|rm -rf|give.? up the data", re.IGNORECASE
    )
    texts = {
        f"{path.relative_to(PROJECT)}: {line.strip()}"
        for folder in ("jobs", "plugins", "dags")
        for path in (PROJECT / folder).rglob("*.py")
        for line in path.read_text().splitlines()
        if destructive.search(line)
    }
    assert {line.partition(":")[0] for line in texts} == {"jobs/cli/services.py"}, (
        "the help of `nightshift down` alone"
    )


def edition():
    day = date(2018, 7, 1)
    contents = {
        table: pa.Table.from_pylist([row(table, day, n) for n in range(20)], table.schema)
        for table in find_usecase("fraud").predictions
    }
    return Edition(day, contents, "a" * 64, "1")


def row(table, day, n):
    """A row of any table: texts and numbers that differ from row to row."""
    made = {}
    for field in table.schema:
        kind = field.type
        made[field.name] = (
            day
            if pa.types.is_date(kind)
            else utc_now()
            if pa.types.is_timestamp(kind)
            else f"é{n}"
            if pa.types.is_string(kind)
            else pa.scalar(n).cast(kind).as_py()
        )
    return made


def publish_to(dsn, url, content):
    with stores.connect_serving_stores(
        dsn, url, "fraud", find_usecase("fraud").predictions
    ) as both:
        publishing = Publishing(both, content, PublishParams(), utc_now())
        missing = publishing.load()
        publishing.attach(missing)
        assert publishing.flip(missing).served
