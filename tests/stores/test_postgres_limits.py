"""Limits of a role or database do not end a night's sessions; the error names those that do."""

from __future__ import annotations

import time
from contextlib import closing

import psycopg2
import pytest
from psycopg2.extensions import parse_dsn
from psycopg2.sql import SQL, Identifier, Literal

from jobs.core import locks
from jobs.core.errors import StoreError
from jobs.source.database import writing
from jobs.stores import postgres, source
from jobs.usecases.fraud.operational.tables import TABLES

LIMITS = {
    "statement_timeout": "50ms",
    "transaction_timeout": "50ms",
    "idle_session_timeout": "50ms",
    "idle_in_transaction_session_timeout": "50ms",
    "default_transaction_read_only": "on",
}


@pytest.fixture
def limited(serving_db):
    """A database with all these limits, for every role."""
    alter = SQL("ALTER DATABASE {} SET {} = {}")
    with closing(psycopg2.connect(serving_db)) as session:
        session.autocommit = True
        for name, value in LIMITS.items():
            database = Identifier(parse_dsn(serving_db)["dbname"])
            session.cursor().execute(alter.format(database, Identifier(name), Literal(value)))
    return serving_db


def test_a_session_of_ours_is_not_ended_by_them(limited):
    with postgres.connect_postgres(limited) as session, session.cursor() as cursor:
        cursor.execute("CREATE TABLE written (n int); SELECT pg_sleep(0.1)")
        time.sleep(0.1)
        with session:
            cursor.execute("INSERT INTO written VALUES (1)")
            time.sleep(0.1)
            cursor.execute("SELECT pg_sleep(0.1)")
    with source.connect_source(limited) as session, session.cursor() as cursor:
        cursor.execute("SELECT n, pg_sleep(0.1) FROM written")
        time.sleep(0.1)
        assert cursor.fetchall() == [(1, "")]


def test_a_lock_and_a_load_outlive_them(limited):
    with locks.hold(limited, "fraud/extract/2018-07-10", "a step") as lock:
        with writing(limited, TABLES) as cursor:
            time.sleep(0.1)
            cursor.execute("SELECT pg_sleep(0.1)")
        lock.recheck()


def test_another_session_that_blocks_is_waited_for(serving_db):
    with closing(psycopg2.connect(serving_db)) as other, other.cursor() as cursor:
        cursor.execute("CREATE TABLE written (n int)")
        other.commit()
        cursor.execute("LOCK TABLE written")
        with pytest.raises(StoreError) as waited, postgres.connect_postgres(serving_db) as session:
            session.cursor().execute("SET lock_timeout = '50ms'; SELECT * FROM written")
    text = str(waited.value)
    assert (
        "waited too long for another session" in text
        and "Why: canceling statement due to lock timeout" in text
    )


def test_a_statement_that_somebody_ends_says_why(serving_db):
    with pytest.raises(StoreError) as ended, postgres.connect_postgres(serving_db) as session:
        session.cursor().execute("SET statement_timeout = '50ms'; SELECT pg_sleep(5)")
    assert str(ended.value).splitlines()[0] == "PostgreSQL ended a statement or its session"
    assert "Why: canceling statement due to statement timeout" in str(ended.value)
    assert serving_db not in str(ended.value)
