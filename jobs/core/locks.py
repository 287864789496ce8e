"""PostgreSQL advisory locks: one writer at a time, and the holder's name for those that wait.

A lock lives in its own session and ends with the process. The session's application_name identifies
the holder, so that a step that waited too long can name it.
"""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg2
from psycopg2.extensions import connection

from jobs.core import libpq
from jobs.core.errors import StoreError
from jobs.core.failures import explain

_SECTION = "a-lock-is-waited-for"  # of the runbook
WAIT_SECONDS = 900.0
_POLL_SECONDS = 0.2

# Our locks use two 32-bit keys (objsubid 2) in this database.
_HOLDER = (
    "SELECT pid, application_name FROM pg_locks JOIN pg_stat_activity USING (pid)"
    " WHERE locktype = 'advisory' AND granted AND objsubid = 2 AND classid = %s AND objid = %s"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


class Lock:
    """A held advisory lock."""

    def __init__(self, session: connection, name: str) -> None:
        self._session, self._name = session, name

    def recheck(self) -> None:
        """Raise StoreError if the lock was lost: its session may have ended during the step."""
        held = _row(self._session, self._name, _HOLDER, _halves(self._name))
        if not held or held[0] != self._session.info.backend_pid:
            raise StoreError(
                f"the lock {self._name} was lost",
                remedy="run the step again; what it computed was not published",
                why=f"it is held by {held[1]}" if held else "PostgreSQL no longer has it",
                section=_SECTION,
            )


@contextmanager
def hold(dsn: str, name: str, owner: str, wait: float | None = None) -> Iterator[Lock]:
    """Hold the lock `name`: `<pipeline>/<step>/<date>`, or `<pipeline>` to move its pointers.

    Wait up to `wait` seconds (default `NIGHTSHIFT_LOCK_WAIT`, else 900), then raise a StoreError
    that names the holder.
    """
    limit = float(os.environ.get("NIGHTSHIFT_LOCK_WAIT", WAIT_SECONDS)) if wait is None else wait
    with closing(_session(dsn, f"{owner} {socket.gethostname()}:{os.getpid()}")) as session:
        deadline = time.monotonic() + limit
        while not _try(session, name):
            if time.monotonic() >= deadline:
                raise StoreError(
                    f"waited {limit:g} s for the lock {name}, "
                    f"held by {holder(dsn, name) or 'somebody unknown'}",
                    remedy="wait for the holder or stop it, then run the step again",
                    section=_SECTION,
                )
            time.sleep(_POLL_SECONDS)
        yield Lock(session, name)


def holder(dsn: str, name: str) -> str | None:
    """Return the current holder of the lock `name`, as its owner named itself; None if free."""
    with closing(_session(dsn, "nightshift")) as session:
        held = _row(session, name, _HOLDER, _halves(name))
        return str(held[1] or "somebody unknown") if held else None


def _session(dsn: str, application: str) -> connection:
    try:
        session = libpq.session(dsn, application)
    except psycopg2.Error as error:
        raise explain(error, dsn) from None
    session.autocommit = True
    return session


def _try(session: connection, name: str) -> bool:
    query = "SELECT pg_try_advisory_lock(%s::int, %s::int)"
    row = _row(session, name, query, tuple(map(_signed, _halves(name))))
    return bool(row and row[0])


def _row(
    session: connection, name: str, query: str, values: tuple[int, ...]
) -> tuple[object, ...] | None:
    """Return the first row of `query`; StoreError when the session has ended."""
    try:
        with session.cursor() as cursor:
            cursor.execute(query, values)
            return cursor.fetchone()
    except psycopg2.Error as error:
        why = explain(error).why
        what = f"the session of the lock {name} ended"
        raise StoreError(what, "run the step again", why=why, section=_SECTION) from error


def _halves(name: str) -> tuple[int, int]:
    """Return the two 32-bit halves of the lock's key, unsigned, as pg_locks shows them."""
    digest = hashlib.sha256(f"nightshift:{name}".encode()).digest()
    return int.from_bytes(digest[:4], "big"), int.from_bytes(digest[4:8], "big")


def _signed(value: int) -> int:
    return value - (1 << 32) if value >= 1 << 31 else value
