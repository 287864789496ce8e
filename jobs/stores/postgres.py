"""PostgreSQL, for what is served: sessions, and Arrow tables in and out of it by COPY."""

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
    # Here are the bookkeeping tables and the views that clients read, whatever a role has as its path.
    "search_path": "public",
    # The server looks for its client while a statement runs: what a killed step left undone ends with it.
    "client_connection_check_interval": "1s",
}


@contextmanager
def connect(dsn: str, application: str = "nightshift") -> Iterator[connection]:
    """A session in UTF-8 and UTC; each statement commits by itself, `with session:` makes one transaction.

    StoreError when the server does not answer or ends a statement; ConfigError when it refuses the login or the
    role; DataError when it refuses a row.
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
    """The column's type in PostgreSQL; ConfigError for a kind that is not served."""
    if column.type not in _TYPES:
        raise ConfigError(
            f"column {column.name} is of type {column.type}, which is not served",
            remedy=f"choose one of {', '.join(map(str, _TYPES))} in tables.py",
        )
    return _TYPES[column.type]


def copy_in(target: cursor, table: Composable, rows: pa.Table, *, created: bool = True) -> None:
    """Append `rows` to a table, which this transaction created unless told otherwise; columns go by name."""
    # FREEZE leaves nothing for a later vacuum to do; it needs the table to be this transaction's own.
    how = SQL("FORMAT csv, FREEZE" if created else "FORMAT csv")
    command = SQL("COPY {} ({}) FROM STDIN ({})").format(table, names(rows.schema), how)
    with tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES) as spool:
        csv.write_csv(rows, spool, csv.WriteOptions(include_header=False))
        spool.seek(0)
        target.copy_expert(command, spool, 1 << 20)


def copy_out(source: cursor, query: Composable, schema: pa.Schema) -> pa.Table:
    """The rows of `query`, whose columns are those of `schema`, bit for bit as they were copied in."""
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
