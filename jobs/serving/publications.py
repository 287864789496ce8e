"""Versions, their states, and the pointer to the served one: publish, flip, roll back.

    loading -> ready -> current <-> superseded      current, superseded -> withdrawn (by a rollback)

A date has at most one current version, and the served version is current for its date. A publish
never makes a withdrawn version current; only a rollback that names it does. Every function that
changes a state is one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from psycopg2.extensions import connection, cursor
from psycopg2.extras import Json, RealDictCursor

from jobs.core.digest import json_digest
from jobs.core.errors import StoreError

State = Literal["loading", "ready", "current", "superseded", "withdrawn"]


@dataclass(frozen=True)
class Publication:
    """A row of `publication`.

    A version never served or previous has null `served_until`, `left_at`.
    """

    pipeline: str
    version: str
    date: date
    state: State
    model_digest: str | None
    model_version: str | None
    row_counts: Mapping[str, int]
    digests: Mapping[str, str]
    created_at: datetime
    served_until: datetime | None
    left_at: datetime | None


@dataclass(frozen=True)
class Served:
    """The pointer of a pipeline; `previous` is the target of a rollback, None if there is none."""

    version: str
    previous: str | None
    reason: str
    at: datetime
    date: date

    @property
    def pair(self) -> tuple[str, ...]:
        return (self.version, self.previous) if self.previous else (self.version,)


def version_name(day: date, digests: Mapping[str, str]) -> str:
    """Return `{YYYYMMDD}-{12 hex}` of the content of all tables: equal content, equal name."""
    return f"{day:%Y%m%d}-{json_digest(dict(digests))[:12]}"


def find(session: connection, pipeline: str, version: str) -> Publication | None:
    return next((row for row in every(session, pipeline) if row.version == version), None)


def every(session: connection, pipeline: str) -> list[Publication]:
    """Return all versions ever published: newest date first, within a date newest version first."""
    with session.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(
            "SELECT * FROM publication WHERE pipeline = %s"
            " ORDER BY date DESC, created_at DESC, version",
            (pipeline,),
        )
        return [Publication(**row) for row in cursor.fetchall()]


def served(session: connection, pipeline: str) -> Served | None:
    """Return the served version; None before the first publish."""
    with session.cursor() as cursor:
        return _served(cursor, pipeline)


def begin(
    session: connection,
    pipeline: str,
    version: str,
    day: date,
    row_counts: Mapping[str, int],
    digests: Mapping[str, str],
    now: datetime,
) -> None:
    """Record that a version is being loaded; an existing version keeps its row."""
    with session.cursor() as cursor:
        cursor.execute(
            "INSERT INTO publication"
            " (pipeline, version, date, state, row_counts, digests, created_at)"
            " VALUES (%s, %s, %s, 'loading', %s, %s, %s) ON CONFLICT DO NOTHING",
            (pipeline, version, day, Json(dict(row_counts)), Json(dict(digests)), now),
        )


def ready(cursor: cursor, pipeline: str, version: str) -> None:
    """Mark a version as ready, in the transaction that attaches it."""
    cursor.execute(
        "UPDATE publication SET state = 'ready'"
        " WHERE pipeline = %s AND version = %s AND state = 'loading'",
        (pipeline, version),
    )


def forget_loading(session: connection, pipeline: str) -> None:
    """Delete the rows of interrupted loads; none runs, as the caller holds the pipeline's lock."""
    with session.cursor() as cursor:
        cursor.execute(
            "DELETE FROM publication WHERE pipeline = %s AND state = 'loading'", (pipeline,)
        )


def flip(
    session: connection,
    pipeline: str,
    version: str,
    model: tuple[str | None, str | None],
    reason: str,
    now: datetime,
) -> State:
    """Make a version current for its date, and served unless a later date is served.

    `model` is the digest and version of the model behind it. Returns the new state: a withdrawn
    version stays withdrawn. Repeating this changes nothing.
    """
    with session, session.cursor() as cursor:
        before = _served(cursor, pipeline, lock=True)
        day, state = _state(cursor, pipeline, version)
        if state == "withdrawn":
            return state
        if state == "loading":
            raise StoreError(f"{version} of {pipeline} is not loaded", remedy="run publish again")
        superseded = _current_of(cursor, pipeline, day) - {version}
        _set(cursor, pipeline, superseded, "superseded")
        _set(cursor, pipeline, {version}, "current")
        cursor.execute(
            "UPDATE publication SET model_digest = %s, model_version = %s"
            " WHERE pipeline = %s AND version = %s",
            (*model, pipeline, version),
        )
        if before is None or day >= before.date:
            if before is None or before.version != version:
                _point(
                    cursor,
                    pipeline,
                    before,
                    version,
                    before.version if before else None,
                    reason,
                    now,
                )
        elif before.previous in superseded:
            # A rollback must restore the corrected tables of that date, not those they replaced.
            _point(cursor, pipeline, before, before.version, version, before.reason, now)
        return "current"


def go_back(
    cursor: cursor, pipeline: str, target: str, kept: set[str], reason: str, now: datetime
) -> list[str]:
    """Serve `target` and withdraw the other current versions of its date and of later dates.

    `previous` becomes the newest current version before it that is `kept`. Returns the withdrawn
    versions. Runs in the caller's transaction; repeating this changes nothing.
    """
    before = _served(cursor, pipeline, lock=True)
    day, _ = _state(cursor, pipeline, target)
    cursor.execute(
        "SELECT version FROM publication"
        " WHERE pipeline = %s AND state = 'current' AND date >= %s AND version <> %s",
        (pipeline, day, target),
    )
    left = {row[0] for row in cursor.fetchall()}
    _set(cursor, pipeline, left, "withdrawn")
    _set(cursor, pipeline, {target}, "current")
    if before is None or before.version != target:
        _point(cursor, pipeline, before, target, _before(cursor, pipeline, day, kept), reason, now)
    return sorted(left)


def _served(cursor: cursor, pipeline: str, lock: bool = False) -> Served | None:
    if lock:  # serialises flips, even if one process has lost the pipeline's lock unnoticed
        cursor.execute("SELECT 1 FROM served WHERE pipeline = %s FOR UPDATE", (pipeline,))
    cursor.execute(
        "SELECT version, previous_version, reason, at, date FROM served"
        " JOIN publication USING (pipeline, version) WHERE pipeline = %s",
        (pipeline,),
    )
    row: tuple[Any, ...] | None = cursor.fetchone()
    return Served(*row) if row else None


def _state(cursor: cursor, pipeline: str, version: str) -> tuple[date, State]:
    cursor.execute(
        "SELECT date, state FROM publication WHERE pipeline = %s AND version = %s FOR UPDATE",
        (pipeline, version),
    )
    row: tuple[Any, ...] | None = cursor.fetchone()
    if row is None:
        raise StoreError(f"{pipeline} has no version {version}", remedy="run publish again")
    return row[0], row[1]


def _current_of(cursor: cursor, pipeline: str, day: date) -> set[str]:
    cursor.execute(
        "SELECT version FROM publication WHERE pipeline = %s AND date = %s AND state = 'current'",
        (pipeline, day),
    )
    return {row[0] for row in cursor.fetchall()}


def _before(cursor: cursor, pipeline: str, day: date, kept: set[str]) -> str | None:
    cursor.execute(
        "SELECT version FROM publication WHERE pipeline = %s AND state = 'current' AND date < %s"
        " AND version = ANY(%s) ORDER BY date DESC LIMIT 1",
        (pipeline, day, sorted(kept)),
    )
    row: tuple[Any, ...] | None = cursor.fetchone()
    return row[0] if row else None


def _set(cursor: cursor, pipeline: str, versions: set[str], state: State) -> None:
    cursor.execute(
        "UPDATE publication SET state = %s WHERE pipeline = %s AND version = ANY(%s)",
        (state, pipeline, sorted(versions)),
    )


def _point(
    cursor: cursor,
    pipeline: str,
    before: Served | None,
    version: str,
    previous: str | None,
    reason: str,
    now: datetime,
) -> None:
    """Move the pointer; record when a version stopped being served and stopped being previous."""
    cursor.execute(
        "INSERT INTO served (pipeline, version, previous_version, reason, at)"
        " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (pipeline) DO UPDATE SET"
        " version = excluded.version, previous_version = excluded.previous_version,"
        " reason = excluded.reason, at = excluded.at",
        (pipeline, version, previous, reason, now),
    )
    if before and before.version != version:
        cursor.execute(
            "UPDATE publication SET served_until = %s WHERE pipeline = %s AND version = %s",
            (now, pipeline, before.version),
        )
    left = set(before.pair if before else ()) - {version, previous}
    cursor.execute(
        "UPDATE publication SET left_at = %s WHERE pipeline = %s AND version = ANY(%s)",
        (now, pipeline, sorted(left)),
    )
