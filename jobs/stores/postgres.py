"""The serving PostgreSQL: sessions, and Arrow tables in and out by COPY."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg2
import pyarrow as pa
from psycopg2.extensions import connection, cursor
from psycopg2.sql import SQL, Composable, Identifier
from pyarrow import csv

from jobs.core import libpq
from jobs.core.errors import ConfigError
from jobs.core.failures import explain
from jobs.core.tables import Column

_SPOOL_BYTES = 64 * 1024 * 1024
_TYPES = {
    pa.string(): "text",
    pa.int64(): "bigint",
    pa.int32(): "integer",
    pa.float64(): "double precision",
    pa.bool_(): "boolean",
    pa.date32(): "date",
    pa.timestamp("us", "UTC"): "timestamptz",
}
_SETTINGS = {
    # The schema of the bookkeeping tables and the clients' views, whatever path the role has set.
    "search_path": "public",
    # The server notices within a second that a killed step is gone, and cancels its statement.
    "client_connection_check_interval": "1s",
}


@contextmanager
def connect_postgres(dsn: str, application: str = "nightshift") -> Iterator[connection]:
    """Open a session in UTF-8 and UTC, in autocommit; `with session:` makes one transaction.

    StoreError if the server does not answer or ends a statement; ConfigError if it refuses the
    login or the role; DataError if it refuses a row.
    """
    try:
        session = libpq.session(dsn, application, **_SETTINGS)
    except psycopg2.Error as error:
        raise explain(error, dsn) from None
    with closing(session):
        session.autocommit = True
        try:
            yield session
        except psycopg2.Error as error:
            raise explain(error, dsn) from error


def column_type(column: Column) -> str:
    """Return the column's type in PostgreSQL; ConfigError for a type that cannot be served."""
    if column.type not in _TYPES:
        raise ConfigError(
            f"column {column.name} has the type {column.type}, which cannot be served",
            remedy=f"change it in tables.py to one of {', '.join(map(str, _TYPES))}",
        )
    return _TYPES[column.type]


def copy_in(target: cursor, table: Composable, rows: pa.Table, *, created: bool = True) -> None:
    """Append `rows` to a table by column name.

    `created`: this transaction created the table.
    """
    # FREEZE saves a later vacuum; PostgreSQL allows it only for a table of this transaction.
    options = SQL("FORMAT csv, FREEZE" if created else "FORMAT csv")
    command = SQL("COPY {} ({}) FROM STDIN ({})").format(table, names(rows.schema), options)
    with tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES) as spool:
        csv.write_csv(rows, spool, csv.WriteOptions(include_header=False))
        spool.seek(0)
        target.copy_expert(command, spool, 1 << 20)


def copy_out(source: cursor, query: Composable, schema: pa.Schema) -> pa.Table:
    """Return the rows of `query` as `schema`, with the same bits as they were copied in."""
    with tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES) as spool:
        source.copy_expert(SQL("COPY ({}) TO STDOUT (FORMAT csv)").format(query), spool)
        if not spool.tell():
            return schema.empty_table()
        spool.seek(0)
        return csv.read_csv(
            spool,
            read_options=csv.ReadOptions(column_names=schema.names),
            parse_options=csv.ParseOptions(newlines_in_values=True),
            convert_options=csv.ConvertOptions(
                column_types=schema,
                true_values=["t"],
                false_values=["f"],
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        ).cast(schema)


def names(schema: pa.Schema) -> Composable:
    return SQL(", ").join(map(Identifier, schema.names))
