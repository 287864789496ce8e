"""Lookups as other systems make them: one row, or ranked rows, by key, alike in both stores."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Literal

from psycopg2.extensions import connection
from psycopg2.extras import RealDictCursor
from psycopg2.sql import SQL, Identifier

from jobs.core.settings import Settings
from jobs.core.tables import Table
from jobs.stores import postgres, redis
from jobs.stores.documents import answer, identifier, value

Store = Literal["redis", "postgres"]
Answer = dict[str, object]


def lookup(
    settings: Settings, pipeline: str, table: Table, key: Sequence[object], store: Store = "redis"
) -> Answer | None:
    """Return the served row of this key (`table.lookup_key`) as JSON values; None if there is none.

    The answer has the `version`. For a ranked table it has `rows`, in order of rank. For an event
    table PostgreSQL answers for every kept date, Redis only for the served date.
    """
    if store == "postgres":
        with postgres.connect_postgres(settings.postgres, "nightshift lookup") as session:
            return from_postgres(session, table, key)
    with redis.connect_redis(settings.redis, pipeline) as keys:
        return from_redis(keys, table, key)


def near(settings: Settings, table: Table, text: str) -> list[str]:
    """Return the served ids nearest to `text` in sort order, at most two on each side."""
    column, view = Identifier(table.lookup_key[0]), Identifier(f"{table.name}_current")
    side = SQL(
        '(SELECT DISTINCT {c}::text COLLATE "C" AS id FROM {v}'
        ' WHERE {c}::text COLLATE "C" {how} LIMIT 2)'
    )
    sides = [
        side.format(c=column, v=view, how=SQL(how))
        for how in ("< %(text)s ORDER BY id DESC", "> %(text)s ORDER BY id")
    ]
    with (
        postgres.connect_postgres(settings.postgres, "nightshift lookup") as session,
        session.cursor() as cursor,
    ):
        cursor.execute("SELECT to_regclass(%s) IS NULL", (f"{table.name}_current",))
        if cursor.fetchone() == (True,):  # no view: nothing was ever published
            return []
        cursor.execute(SQL(" UNION ").join(sides) + SQL(" ORDER BY id"), {"text": text})
        return [row[0] for row in cursor.fetchall()]


def from_redis(keys: redis.Redis, table: Table, key: Sequence[object]) -> Answer | None:
    """Look up in Redis: read the pointer, then the key; repeat if the pointer moved in between."""
    version = keys.served()
    while version:
        if document := keys.get(version, table, identifier(key)):
            return answer(version, json.loads(document))
        version, tried = keys.served(), version
        if version == tried:
            return None
    return None


def from_postgres(session: connection, table: Table, key: Sequence[object]) -> Answer | None:
    """Look up in PostgreSQL; for an event table with several dates the newest answers."""
    where = SQL(" AND ").join(SQL("{} = %s").format(Identifier(name)) for name in table.lookup_key)
    query = SQL("SELECT * FROM {} WHERE {} ORDER BY date DESC, {}").format(
        Identifier(f"{table.name}_current"), where, Identifier(table.key[-1])
    )
    with session.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(query, tuple(map(str, key)))
        return answers(table, cursor.fetchall() if table.ranked else cursor.fetchmany(1))


def answers(table: Table, rows: Sequence[Mapping[str, object]]) -> Answer | None:
    """Convert one lookup's rows in PostgreSQL, with their `version`, to the answer of Redis."""
    if not rows:
        return None
    plain = [{name: value(cell) for name, cell in row.items() if name != "version"} for row in rows]
    return answer(str(rows[0]["version"]), plain if table.ranked else plain[0])
