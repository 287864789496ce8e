"""Sessions on PostgreSQL: one way to open them, so that text reads the same whatever server, role or shell says."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Lock

import psycopg2
from psycopg2.extensions import connection, parse_dsn

from jobs.core.pg_variables import variables

# What a role or a database may have been given for its people: a night's statements take as long as they take, a
# lock's session waits for its step, and all but the source is written to.
_NO_LIMITS = {
    "statement_timeout": "0",
    "lock_timeout": "0",
    "transaction_timeout": "0",
    "idle_session_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "default_transaction_read_only": "off",
}
# Everything that changes how values are written as text, and read from it. A role, a database or PGOPTIONS may
# have set any of them to something else.
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
# A server that does not know a setting, because it is older, keeps what it does.
_APPLY = """
SELECT set_config(name, value, false) FROM unnest(%s::text[], %s::text[]) AS wanted (name, value)
WHERE current_setting(name, true) IS NOT NULL
"""
# Addresses with all of these need nothing from the environment.
_COMPLETE = {"user", "password", "host", "port", "dbname"}
_environment = Lock()


def session(dsn: str, application: str, **settings: str) -> connection:
    """An open session under SETTINGS and `settings`; psycopg2.OperationalError when the server refuses it.

    A complete address that says `sslmode=disable`, as those of the embedded services do, is taken as it
    stands: no PG* variable of the environment changes it. Elsewhere they are defaults, as libpq documents.
    """
    with _alone(dsn):
        # Keepalives: a holder of a lock whose machine vanished must not block the others for hours.
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
    """In a transaction of its own: a rollback later on must not undo it."""
    opened.autocommit = True
    with opened.cursor() as cursor:
        cursor.execute(_APPLY, (list(settings), list(settings.values())))
    opened.autocommit = False


@contextmanager
def _alone(dsn: str) -> Iterator[None]:
    """While this is open, libpq sees no PG* variable if the address is complete."""
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
        return False  # libpq will say what is wrong with it
    return words.keys() >= _COMPLETE and words.get("sslmode") == "disable"
