"""An engine's error becomes one of ours with all four parts; its kind decides about retries."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import clickhouse_connect
import numpy as np
import psycopg2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import redis
import xgboost

from jobs.core import failures, masking, traces
from jobs.core.errors import ConfigError, DataError, NightshiftError, StoreError
from jobs.core.failure_rules import ENGINES, RULES

NOWHERE = "127.0.0.1:9"


def full_disk(folder):
    with failures.writing(Path("/dev/full")), Path("/dev/full").open("w") as file:
        file.write("x" * 100_000)


def damaged(folder):
    (folder / "x.parquet").write_bytes(b"PAR1 nothing PAR1")
    pq.read_table(folder / "x.parquet")


def chdb(statement):
    def query(folder):
        with closing(clickhouse_connect.get_client(dsn=f"chdb:///{folder / 'chdb'}")) as client:
            client.query(statement)

    return query


CASES = {
    "disk": (full_disk, StoreError, "the disk is full", "/dev/full", "free space"),
    "memory": (lambda folder: np.empty(1 << 55), StoreError, "ran out of memory", "", "memory"),
    "parquet": (damaged, DataError, "a table cannot be read", "x.parquet", "write it again"),
    "arrow": (
        lambda folder: pa.array(["x"]).cast(pa.int64()),
        DataError,
        "a table",
        "where",
        "write it again",
    ),
    "model": (
        lambda folder: xgboost.Booster().load_model(bytearray(b"{")),
        DataError,
        "XGBoost refused",
        "where",
        "train again",
    ),
    "data": (
        lambda folder: xgboost.DMatrix(np.array([[np.inf]])),
        DataError,
        "XGBoost refused",
        "where",
        "infinities",
    ),
    "postgres": (
        lambda folder: psycopg2.connect(f"postgresql://u:secret@{NOWHERE}/x"),
        StoreError,
        "PostgreSQL does not answer",
        "where",
        "start it",
    ),
    "address": (
        lambda folder: psycopg2.connect(masking.learn("postgresql://u:pw%zzsecret@h/x")),
        ConfigError,
        "at this address",
        "where",
        "correct",
    ),
    "redis": (
        lambda folder: redis.Redis.from_url(f"redis://:secret@{NOWHERE}/0").ping(),
        StoreError,
        "Redis does not answer",
        "where",
        "check that it is up",
    ),
    "clickhouse": (
        lambda folder: clickhouse_connect.get_client(dsn=f"clickhouse://u:secret@{NOWHERE}/"),
        StoreError,
        "ClickHouse cannot be opened",
        "where",
        "start the server",
    ),
    "query": (
        chdb("SELECT 1 FROM nowhere"),
        StoreError,
        "ClickHouse failed",
        "where",
        "read the reason",
    ),
    "chdb-memory": (
        chdb(
            "SELECT groupArray(number) FROM numbers(100000000) SETTINGS max_memory_usage = 1000000"
        ),
        StoreError,
        "ClickHouse ran out of memory",
        "where",
        "memory",
    ),
    "unknown": (lambda folder: {}["x"], NightshiftError, "does not know", "", "report it"),
}


CHDB = ("query", "chdb-memory")


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=pytest.mark.process if case in CHDB else ()) for case in CASES],
)
def test_a_failure_says_what_on_which_input_why_and_what_next(case, tmp_path):
    fail, kind, what, place, remedy = CASES[case]
    with pytest.raises(Exception) as caught:
        fail(tmp_path)
    ours = failures.explain(caught.value, "where")
    assert type(ours) is kind
    assert what in ours.what and remedy in ours.remedy
    assert ours.input.endswith(place) and bool(ours.input) == bool(place)
    assert (
        ours.why and len(ours.why) <= 401 and "\n" not in ours.why and "Stack trace" not in ours.why
    )
    assert "secret" not in str(ours)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("'42501'", ConfigError),
        ("'57014'", StoreError),
        ("'23505'", DataError),
        ("'53100'", StoreError),
        ("'25006'", StoreError),
        ("'40P01'", StoreError),
        ("'42P01'", ConfigError),
        ("'XX001'", StoreError),
    ],
)
def test_postgresqls_own_codes_decide(services, code, kind):
    raising = f"DO $$ BEGIN RAISE EXCEPTION 'port 23001 at 42501' USING ERRCODE = {code}; END $$"
    with (
        closing(psycopg2.connect(services.postgres)) as session,
        pytest.raises(psycopg2.Error) as caught,
    ):
        session.cursor().execute(raising)
    assert type(failures.explain(caught.value)) is kind


def test_one_of_ours_stays_as_it_is():
    error = DataError("wrong")
    assert failures.explain(error) is error


def test_no_advice_destroys_data():
    words = " ".join(rule.remedy for rule in RULES).lower()
    assert not re.search(r"\b(purge|delete|drop|remove|truncate|flush)", words)


def test_every_rule_has_its_parts_and_every_engine_a_last_one():
    assert all(rule.what and rule.remedy for rule in RULES)
    for engine in {*ENGINES.values()} - {"Arrow", "the lake"}:
        assert any(rule.of == engine and not rule.signs for rule in RULES), engine
    assert not RULES[-1].of and not RULES[-1].signs


@pytest.mark.process
def test_the_story_is_kept_without_secrets_and_with_what_an_engine_wrote(tmp_path, monkeypatch):
    monkeypatch.setattr(traces, "_engines", [])
    masking.learn("http://u:geheim%2Fnis@h")
    with traces.of_engine(tmp_path / "new"):
        subprocess.run(
            [sys.executable, "-c", "import sys; print('the JVM says', file=sys.stderr)"], check=True
        )
        os.write(2, b"geheim/nis")
    path = traces.write(ValueError("geheim/nis"), tmp_path / "logs", "fraud/x")
    text = Path(path).read_text()
    assert "ValueError: ***" in text and "the JVM says" in text and "geheim" not in text


def test_a_story_that_cannot_be_written_hides_no_error(tmp_path):
    (tmp_path / "logs").write_text("a file, not a folder")
    assert "could not be written" in traces.write(ValueError("x"), tmp_path / "logs", "x")


@pytest.mark.parametrize(
    ("error", "input", "section"),
    [
        (psycopg2.OperationalError("connection refused"), "", "postgresql-is-down"),
        (
            psycopg2.OperationalError("connection refused"),
            "the source, postgresql://h",
            "the-source-is-down",
        ),
        (psycopg2.OperationalError("password authentication failed"), "", ""),
        (redis.ConnectionError("Error 111"), "", "redis-is-down-or-was-flushed"),
    ],
)
def test_a_store_that_is_down_names_its_section_and_a_setting_its_own(error, input, section):
    ours = failures.explain(error, input)
    assert ours.section == section
    assert section or ours.explained().endswith("docs/runbook.md#a-setting-is-wrong")
