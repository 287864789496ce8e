"""Lookups as other systems make them: one row by its key, from either store, with equal answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal

from psycopg2.extensions import connection
from psycopg2.extras import RealDictCursor
from psycopg2.sql import SQL, Identifier

from jobs.core.settings import Settings
from jobs.core.usecase import Table
from jobs.stores import postgres, redis
from jobs.stores.documents import identifier, value

Store = Literal["redis", "postgres"]
Answer = dict[str, Any]


def lookup(
    settings: Settings, pipeline: str, table: Table, key: Sequence[Any], store: Store = "redis"
) -> Answer | None:
    """The served row with this key, as JSON values, with its `version`; None when none is served.

    Of an event table PostgreSQL answers for every date that is kept, Redis for the served date alone.
    """
    if store == "postgres":
        with postgres.connect(settings.postgres, "nightshift lookup") as session:
            return from_postgres(session, table, key)
    with redis.connect(settings.redis, pipeline) as keys:
        return from_redis(keys, table, key)


def from_redis(keys: redis.Redis, table: Table, key: Sequence[Any]) -> Answer | None:
    """As `lookup`: the pointer, then the key; once more when the pointer moved on between the two."""
    version = keys.served()
    while version:
        if found := keys.get(version, table, identifier(key)):
            return {"version": version, **json.loads(found)}
        version, tried = keys.served(), version
        if version == tried:
            return None
    return None


def from_postgres(session: connection, table: Table, key: Sequence[Any]) -> Answer | None:
    """As `lookup`; of several dates of an event table the newest answers."""
    where = SQL(" AND ").join(SQL("{} = %s").format(Identifier(name)) for name in table.key)
    query = SQL("SELECT * FROM {} WHERE {} ORDER BY date DESC LIMIT 1").format(
        Identifier(f"{table.name}_current"), where
    )
    with session.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(query, tuple(map(str, key)))
        row = cursor.fetchone()
        return {name: value(found) for name, found in row.items()} if row else None
