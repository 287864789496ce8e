"""Write to the operational database in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager

import psycopg2
from psycopg2.extensions import cursor as Cursor

from jobs.core import libpq
from jobs.core.failures import explain
from jobs.source.schema import OperationalTable, create, index
from jobs.stores import postgres_versions
from jobs.stores.versions import require

_WRITERS = 0x6E73_0001  # advisory lock that every writer takes


@contextmanager
def writing(dsn: str, tables: Sequence[OperationalTable]) -> Iterator[Cursor]:
    """Open a cursor in a transaction that commits at the end of the block; create missing `tables`.

    A new table is empty and gets its key and index at the end of the block. Writers wait for each
    other, so that two loads cannot deadlock over the order of their rows. Errors are those of
    `stores.postgres`; ConfigError if the schema is of another release.
    """
    try:
        with (
            closing(libpq.session(dsn, "nightshift source")) as connection,
            connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("SET LOCAL work_mem = '256MB'")
            cursor.execute("SET LOCAL maintenance_work_mem = '256MB'")
            cursor.execute("SET LOCAL client_min_messages = warning")
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_WRITERS,))
            number = postgres_versions.version(connection, "source", *(t.name for t in tables))
            if number is None:
                postgres_versions.make(cursor, "source")
            else:
                require("source", number)
            new = [table for table in tables if create(cursor, table)]
            _index(cursor, set(tables) - set(new))
            yield cursor
            # With the key built afterwards, a million rows take 5 s instead of 17 s.
            _index(cursor, new)
    except psycopg2.Error as error:
        raise explain(error, f"the operational database, {dsn}") from error


def _index(cursor: Cursor, tables: Iterable[OperationalTable]) -> None:
    for table in tables:
        index(cursor, table)
