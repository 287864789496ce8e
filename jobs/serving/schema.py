"""The tables and views of the serving database, created on first use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from psycopg2.extensions import connection, cursor
from psycopg2.sql import SQL, Composable, Identifier, Literal

from jobs.core.errors import ConfigError
from jobs.core.tables import VERSION, Column, Table
from jobs.stores import postgres, postgres_versions
from jobs.stores.versions import require

Session = connection  # for steps, which do not import the driver
_DDL_LOCK = 7_203_559_114  # serialises the processes that create tables here

_ENTITY = """
CREATE VIEW {current} AS SELECT {columns} FROM {parent} AS t
WHERE t.version = (SELECT version FROM served WHERE pipeline = {pipeline})
"""
# An array, not IN: a lookup then probes every partition once, whatever the planner's estimates.
_EVENT = """
CREATE VIEW {current} AS SELECT {columns} FROM {parent} AS t
WHERE t.version = ANY (ARRAY(
    SELECT p.version FROM publication AS p
    WHERE p.pipeline = {pipeline} AND p.state = 'current' AND p.date <= (
        SELECT now.date FROM served JOIN publication AS now USING (pipeline, version)
        WHERE served.pipeline = {pipeline})))
"""
_HISTORY = """
CREATE VIEW {history} AS
SELECT {first_columns}, p.model_digest, p.model_version, p.state{added_columns}
FROM {parent} AS t JOIN publication AS p ON p.pipeline = {pipeline} AND p.version = t.version
WHERE p.state <> 'loading'
"""


@contextmanager
def connect_serving_database(dsn: str, application: str = "nightshift") -> Iterator[connection]:
    """Open a session on the serving database; create its bookkeeping tables if it is empty.

    ConfigError if the schema is older or newer than this code's.
    """
    with postgres.connect_postgres(dsn, application) as session:
        if (number := version(session)) is None:
            with session, session.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_DDL_LOCK,))
                if version(session) is None:
                    postgres_versions.make(cursor, "serving")
        else:
            require("serving", number)
        yield session


def version(session: connection) -> int | None:
    """Return the schema version of the serving database; None while it is empty."""
    return postgres_versions.version(session, "serving", "promotions")


def ensure(session: connection, pipeline: str, tables: Sequence[Table]) -> None:
    """Create the partitioned tables and their views.

    ConfigError if one exists with other columns.
    """
    with session, session.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_DDL_LOCK,))
        for table in tables:
            if _kind(cursor, parent(pipeline, table)) is None:
                _create(cursor, pipeline, table)
            _same_columns(cursor, pipeline, table)


def parent(pipeline: str, table: Table) -> Identifier:
    return Identifier(pipeline, table.name)


def partition(pipeline: str, table: Table, version: str) -> Identifier:
    return Identifier(pipeline, partition_name(table, version))


def partition_name(table: Table, version: str) -> str:
    return f"{table.name}_{version.replace('-', '_')}"


def served_columns(table: Table) -> tuple[Column, ...]:
    """The columns of a table as it is served: those of its rows, after their version."""
    return (VERSION, *table.columns)


def current(table: Table) -> Identifier:
    return Identifier(f"{table.name}_current")


def history(table: Table) -> Identifier:
    return Identifier(f"{table.name}_history")


def _create(cursor: cursor, pipeline: str, table: Table) -> None:
    if _kind(cursor, current(table)) is not None:
        raise ConfigError(
            f"another pipeline already has the view {table.name}_current",
            remedy=f"rename the table {table.name} of {pipeline} in its tables.py",
        )
    words: dict[str, Composable] = {
        "parent": parent(pipeline, table),
        "current": current(table),
        "history": history(table),
        "pipeline": Literal(pipeline),
        "columns": _selected("version", *table.schema.names),
        "first_columns": _selected(
            "version", *(name for name in table.schema.names if name not in table.added)
        ),
        # Last, since a migration's CREATE OR REPLACE VIEW, which keeps grants, can add only there.
        "added_columns": SQL("").join(
            SQL(", {}").format(Identifier("t", name)) for name in table.added
        ),
        "grain": Literal(f"{table.grain}, and version"),
    }
    columns = SQL(", ").join(
        SQL("{} {}{}").format(
            Identifier(column.name),
            SQL(postgres.column_type(column)),
            SQL("" if column.nullable else " NOT NULL"),
        )
        for column in served_columns(table)
    )
    cursor.execute(SQL("CREATE SCHEMA IF NOT EXISTS {}").format(Identifier(pipeline)))
    cursor.execute(
        SQL("CREATE TABLE {} ({}) PARTITION BY LIST (version)").format(words["parent"], columns)
    )
    cursor.execute(SQL("COMMENT ON TABLE {parent} IS {grain}").format(**words))
    cursor.execute(SQL(_EVENT if table.kind == "event" else _ENTITY).format(**words))
    cursor.execute(SQL(_HISTORY).format(**words))
    for relation in ("parent", "current", "history"):
        _comment(cursor, words[relation], served_columns(table))


def _comment(cursor: cursor, relation: Composable, columns: Iterable[Column]) -> None:
    """Keep the meaning of the columns with them, for people who read the database."""
    statements = (
        SQL("COMMENT ON COLUMN {}.{} IS {}").format(
            relation, Identifier(column.name), Literal(column.comment)
        )
        for column in columns
    )
    cursor.execute(SQL("; ").join(statements))


def _selected(*names: str) -> Composable:
    return SQL(", ").join(Identifier("t", name) for name in names)


def _same_columns(cursor: cursor, pipeline: str, table: Table) -> None:
    cursor.execute(
        "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute"
        " WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        (parent(pipeline, table).as_string(cursor),),
    )
    columns = [name for name, _ in cursor.fetchall()]
    if columns != (declared := ["version", *table.schema.names]):
        raise ConfigError(
            f"{pipeline}.{table.name} in PostgreSQL has the columns {columns}, "
            f"but tables.py declares {declared}",
            remedy="write a migration to the declared columns (jobs/migrations/README.md)",
        )


def _kind(cursor: cursor, name: Identifier) -> str | None:
    """Return the kind of a relation ('r', 'p', 'v').

    None if the search path has none of that name.
    """
    cursor.execute(
        "SELECT relkind FROM pg_class WHERE oid = to_regclass(%s)", (name.as_string(cursor),)
    )
    row = cursor.fetchone()
    return str(row[0]) if row else None
