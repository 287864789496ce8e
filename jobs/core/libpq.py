"""Open PostgreSQL sessions with fixed settings, whatever the server, role or shell has set."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Lock

import psycopg2
from psycopg2.extensions import connection, parse_dsn

from jobs.core.pg_variables import variables

# Limits that an administrator may have set for a role or a database. A night's statements may take
# long, a lock's session stays idle while its step runs, and every database but the source is
# written to.
_NO_LIMITS = {
    "statement_timeout": "0",
    "lock_timeout": "0",
    "transaction_timeout": "0",
    "idle_session_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "default_transaction_read_only": "off",
}
# Every setting that changes how values are written as text and read from it. A role, a database or
# PGOPTIONS may have set any of them differently.
SETTINGS: Mapping[str, str] = {
    "client_encoding": "UTF8",
    "timezone": "UTC",
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "standard_conforming_strings": "on",
    "lc_monetary": "C",
    **_NO_LIMITS,
}
# Settings that an older server does not have are left out.
_APPLY = """
SELECT set_config(name, value, false) FROM unnest(%s::text[], %s::text[]) AS wanted (name, value)
WHERE current_setting(name, true) IS NOT NULL
"""
# An address with all of these needs nothing from the environment.
_COMPLETE = {"user", "password", "host", "port", "dbname"}
_environment = Lock()


def session(dsn: str, application: str, **settings: str) -> connection:
    """Open a session with SETTINGS and `settings`; psycopg2.OperationalError if the server refuses.

    A complete address with `sslmode=disable`, as the embedded services have, is used unchanged: no
    PG* variable of the environment affects it. For other addresses these variables are defaults, as
    libpq documents.
    """
    with _alone(dsn):
        # Keepalives: a lost machine must not keep its locks for hours.
        opened = psycopg2.connect(
            dsn,
            application_name=application[:63],
            client_encoding="UTF8",
            connect_timeout=10,
            keepalives_idle=30,
            keepalives_interval=10,
            keepalives_count=3,
        )
    try:
        _apply(opened, {**SETTINGS, **settings})
    except BaseException:
        opened.close()
        raise
    return opened


def _apply(opened: connection, settings: Mapping[str, str]) -> None:
    """Set the settings in a separate transaction, which a later rollback does not undo."""
    opened.autocommit = True
    with opened.cursor() as cursor:
        cursor.execute(_APPLY, (list(settings), list(settings.values())))
    opened.autocommit = False


@contextmanager
def _alone(dsn: str) -> Iterator[None]:
    """Hide the PG* variables from libpq while this is open, if the address is complete."""
    if not _is_complete(dsn):
        yield
        return
    with _environment:
        hidden = variables(os.environ)
        for name in hidden:
            os.environ.pop(name)
        try:
            yield
        finally:
            os.environ.update(hidden)


def _is_complete(dsn: str) -> bool:
    try:
        words = parse_dsn(dsn)
    except psycopg2.ProgrammingError:
        return False  # connecting will raise libpq's own message
    return words.keys() >= _COMPLETE and words.get("sslmode") == "disable"
