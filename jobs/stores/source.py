"""The operational PostgreSQL, read-only: rows of one day of one source, as text."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import psycopg2
import pyarrow as pa
from psycopg2.extensions import connection
from psycopg2.sql import SQL, Identifier
from pyarrow import csv

from jobs.core import libpq
from jobs.core.errors import DataError
from jobs.core.failures import explain
from jobs.core.tables import Source
from jobs.stores import postgres_versions
from jobs.stores.source_types import COLUMNS, TIMES, plain
from jobs.stores.source_types import require as require_types
from jobs.stores.versions import require

if TYPE_CHECKING:
    import pandas as pd

Session = connection
_COLUMNS = "the-source-lacks-a-table-or-a-column"  # of the runbook
_SPOOL_BYTES = 64 * 1024 * 1024


@contextmanager
def connect_source(dsn: str) -> Iterator[connection]:
    """Open a read-only transaction in UTC with a consistent snapshot of the database.

    Errors are those of `stores.postgres.connect_postgres`. Also ConfigError if `nightshift source`
    of another release created the tables; a foreign database has no version.
    """
    try:
        session = libpq.session(dsn, "nightshift extract")
    except psycopg2.Error as error:
        raise explain(error, f"the source, {dsn}") from None
    with closing(session):
        try:
            session.set_session(isolation_level="REPEATABLE READ", readonly=True)
            if number := postgres_versions.version(session, "source", "nightshift_migrations"):
                require("source", number)
            yield session
        except psycopg2.Error as error:
            raise explain(error, f"the source, {dsn}") from error


def read_day(session: connection, source: Source, start: datetime, end: datetime) -> pd.DataFrame:
    """Return the rows of [start, end) as text (source_types.plain), null as null, unordered."""
    with session.cursor() as cursor, tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES) as spool:
        query = cursor.mogrify(source.query, {"start": start, "end": end}).decode()
        # COPY takes no parameters, so mogrify quotes them into the statement.
        cursor.copy_expert(f"COPY ({query}) TO STDOUT (FORMAT csv, HEADER)", spool)
        spool.seek(0)
        header = spool.readline().decode().strip().split(",")
        spool.seek(0)
        table = csv.read_csv(
            spool,
            parse_options=csv.ParseOptions(newlines_in_values=True),
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(header, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    types = {name: _columns(session, name) for name in source.tables}
    return plain(table.to_pandas(), source, types)


def rows_before(session: connection, source: Source, start: datetime, days: int) -> int:
    """Return the number of rows in the `days` days before `start`."""
    with session.cursor() as cursor:
        window = {"start": start - timedelta(days=days), "end": start}
        cursor.execute(f"SELECT count(*) FROM ({source.query}) AS rows", window)  # noqa: S608 (the use case's own text)
        row = cursor.fetchone()
        return int(row[0]) if row else 0


def nearest_days(session: connection, source: Source, start: datetime, end: datetime) -> list[date]:
    """Return the last day with rows before `end` and the first from `start` on (UTC), if any.

    ValueError for a source without a time.
    """
    table = next((name for name, columns in source.tables.items() if source.time in columns), None)
    if source.time is None or table is None:
        raise ValueError(f"{source.name} has no time")
    query = SQL(
        "SELECT (SELECT max({time})::date FROM {table} WHERE {time} < %(end)s),"
        " (SELECT min({time})::date FROM {table} WHERE {time} >= %(start)s)"
    ).format(time=Identifier(source.time), table=SQL(table))
    with session.cursor() as cursor:
        cursor.execute(query, {"start": start, "end": end})
        return [day for day in cursor.fetchone() or () if day]


def extra_columns(session: connection, sources: Sequence[Source]) -> list[str]:
    """Return upstream columns that no source reads.

    DataError if a needed one is missing or unusable.
    """
    read: dict[str, set[str]] = {}
    for source in sources:
        for table, wanted in source.tables.items():
            read.setdefault(table, set()).update(wanted)
            present = _columns(session, table)
            _require(table, wanted, present)
            if source.time and source.time in wanted:
                _require_time(table, source.time, present[source.time])
        require_types(source, {table: _columns(session, table) for table in source.tables})
    return [
        f"{table}.{name}"
        for table, wanted in read.items()
        for name in _columns(session, table)
        if name not in wanted
    ]


def _columns(session: connection, table: str) -> dict[str, str]:
    """Return the columns of a table or view, with their types."""
    with session.cursor() as cursor:
        cursor.execute(COLUMNS, (table,))
        return dict(cursor.fetchall())


def _require(table: str, wanted: Sequence[str], present: Mapping[str, str]) -> None:
    missing = [name for name in wanted if name not in present]
    if missing:
        raise DataError(
            f"{table} has no column {', '.join(missing)}"
            if present
            else f"the source has no table {table}",
            remedy="ask the upstream owner to restore it, or change the query in sources.py "
            "to its new name",
            input=f"{table}({', '.join(present)})",
            section=_COLUMNS,
        )


def _require_time(table: str, column: str, kind: str) -> None:
    if kind not in TIMES:
        raise DataError(
            f"{table}.{column} has the type {kind}, by which no day can be selected",
            remedy=f"ask the upstream owner for one of {', '.join(TIMES)}",
            input=table,
            section=_COLUMNS,
        )
