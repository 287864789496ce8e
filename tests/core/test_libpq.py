"""A session reads and writes text in one way, whatever the role, the database and the shell say."""

from __future__ import annotations

import os
import threading
from contextlib import closing, contextmanager
from datetime import date

import psycopg2
import pyarrow as pa
import pytest

from astray import LIBPQ
from declared import columns_of
from jobs.core import libpq, locks
from jobs.core.pg_variables import restored, set_aside
from jobs.core.tables import Table
from jobs.serving import partitions, schema
from jobs.source.database import writing
from jobs.stores import postgres, source
from jobs.usecases.fraud.operational.tables import TABLES

HOSTILE = {
    "client_encoding": "WIN1252",
    "timezone": "Asia/Kolkata",
    "datestyle": "German, DMY",
    "intervalstyle": "iso_8601",
    "extra_float_digits": "-15",
    "bytea_output": "escape",
    "standard_conforming_strings": "off",
}
TEXTS = ["Café Zoë", "€ 5 – Ł", "漢字", "Привет", "a\\b'c\"d", "007"]


@contextmanager
def by_writing(dsn):
    with writing(dsn, TABLES) as cursor:
        yield cursor.connection


@contextmanager
def by_lock(dsn):
    with locks.hold(dsn, "fraud", "a test") as lock:
        yield lock._session


SESSIONS = {
    "serving": postgres.connect_postgres,
    "bookkeeping": schema.connect_serving_database,
    "extract": source.connect_source,
    "load": by_writing,
    "lock": by_lock,
}


@pytest.fixture
def hostile_db(serving_db):
    """A database in which the role has every setting changed; its other databases are as before."""
    with closing(psycopg2.connect(serving_db)) as session, session, session.cursor() as cursor:
        cursor.execute("SELECT current_user, current_database()")
        role, name = cursor.fetchone()
        for setting, value in HOSTILE.items():
            cursor.execute(f'ALTER ROLE {role} IN DATABASE "{name}" SET {setting} = %s', (value,))
    return serving_db


def shown(session):
    with session.cursor() as cursor:
        cursor.execute(
            "SELECT name, current_setting(name, true) FROM unnest(%s) AS name",
            (list(libpq.SETTINGS),),
        )
        return dict(cursor.fetchall())


@pytest.mark.parametrize("opened", SESSIONS.values(), ids=SESSIONS)
def test_every_session_has_our_settings(opened, hostile_db, monkeypatch):
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    monkeypatch.setenv("PGTZ", "Asia/Tokyo")
    monkeypatch.setenv("PGDATESTYLE", "SQL")
    monkeypatch.setenv("PGOPTIONS", "-c bytea_output=escape -c search_path=pg_catalog")
    with closing(psycopg2.connect(hostile_db, options="-c geqo=on")) as session:
        assert session.encoding != "UTF8", "the role's own setting counts where nobody sets another"
    with opened(hostile_db) as session:
        assert session.encoding == "UTF8" and shown(session) == libpq.SETTINGS


def test_a_rollback_does_not_undo_the_settings(hostile_db):
    with closing(libpq.session(hostile_db, "a test")) as session:
        session.rollback()
        assert shown(session) == libpq.SETTINGS


def test_text_under_a_role_with_another_encoding_is_stored_as_it_is(hostile_db):
    table = Table(
        "names",
        ("id",),
        columns_of(pa.schema([("date", pa.date32()), ("id", pa.string())])),
        "",
        "entity",
    )
    rows = pa.table({"date": [date(2018, 7, 1)] * len(TEXTS), "id": TEXTS}, schema=table.schema)
    version = "20180701-0123456789ab"
    with schema.connect_serving_database(hostile_db) as session:
        schema.ensure(session, "demo", [table])
        partitions.load(session, "demo", table, version, rows)
        assert sorted(partitions.read(session, "demo", table, version)["id"].to_pylist()) == sorted(
            TEXTS
        )
    with (
        closing(psycopg2.connect(hostile_db, client_encoding="UTF8")) as session,
        session.cursor() as cursor,
    ):
        cursor.execute("SELECT id FROM demo.names_20180701_0123456789ab")
        assert {row[0] for row in cursor.fetchall()} == set(TEXTS)


def test_bookkeeping_is_in_one_place_whatever_the_search_path(serving_db):
    with schema.connect_serving_database(serving_db) as session, session.cursor() as cursor:
        cursor.execute("CREATE SCHEMA other")
        name = session.info.dbname
        cursor.execute(f'ALTER ROLE CURRENT_USER IN DATABASE "{name}" SET search_path = other')
    with schema.connect_serving_database(serving_db) as session, session.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_tables WHERE tablename = 'promotions'")
        assert cursor.fetchone() == (1,)


@pytest.mark.parametrize("name", LIBPQ)
def test_no_variable_of_the_shell_changes_a_complete_address(name, services, monkeypatch):
    monkeypatch.setenv(name, LIBPQ[name])
    with closing(libpq.session(services.postgres, "a test")) as session, session.cursor() as cursor:
        cursor.execute("SELECT 1")
    assert os.environ[name] == LIBPQ[name], "what the shell says is for other addresses"


def test_for_any_other_address_they_are_defaults_as_libpq_documents(services, monkeypatch):
    monkeypatch.setenv("PGSSLMODE", "require")
    with pytest.raises(psycopg2.OperationalError, match="does not support SSL"):
        libpq.session(services.postgres.partition("?")[0], "a test")


def test_threads_that_connect_at_once_leave_the_variables_as_they_were(services, monkeypatch):
    monkeypatch.setenv("PGOPTIONS", "-c no_such_setting=1")
    failed = []

    def connect():
        try:
            for _ in range(5):
                libpq.session(services.postgres, "a test").close()
        except psycopg2.Error as error:
            failed.append(error)

    threads = [threading.Thread(target=connect) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == [] and os.environ["PGOPTIONS"] == "-c no_such_setting=1"


def test_what_is_set_aside_for_a_service_comes_back_for_a_step():
    shell = {"PATH": "/bin", "PGSSLROOTCERT": "/ca.pem", "PGPASSFILE": "/pass"}
    service = set_aside(shell)
    assert not [name for name in service if name.startswith("PG")] and service["PATH"] == "/bin"
    assert restored(service) == shell and restored({"PATH": "/bin"}) == {"PATH": "/bin"}
