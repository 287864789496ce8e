"""The tables and views of the serving database, made on first use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from psycopg2.extensions import connection, cursor
from psycopg2.sql import SQL, Composable, Identifier, Literal

from jobs.core.errors import ConfigError
from jobs.core.usecase import Table
from jobs.stores import postgres

_DDL_LOCK = 7_203_559_114  # of all processes that make tables here

_BOOKKEEPING = """
CREATE TABLE publication (
    pipeline text NOT NULL,
    version text NOT NULL,
    date date NOT NULL,
    state text NOT NULL CHECK (state IN ('loading', 'ready', 'current', 'superseded', 'withdrawn')),
    model_digest text,
    model_version text,
    row_counts jsonb NOT NULL,
    digests jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    served_until timestamptz,
    left_at timestamptz,
    PRIMARY KEY (pipeline, version)
);
COMMENT ON TABLE publication IS 'One row a version; grain (pipeline, version). A row outlives its tables.';
COMMENT ON COLUMN publication.served_until IS 'when it last stopped being served';
COMMENT ON COLUMN publication.left_at IS 'when it last ceased to be served or previous';
CREATE UNIQUE INDEX publication_current ON publication (pipeline, date) WHERE state = 'current';
CREATE TABLE served (
    pipeline text PRIMARY KEY,
    version text NOT NULL,
    previous_version text,
    reason text NOT NULL,
    at timestamptz NOT NULL,
    FOREIGN KEY (pipeline, version) REFERENCES publication,
    FOREIGN KEY (pipeline, previous_version) REFERENCES publication
);
COMMENT ON TABLE served IS 'The one pointer of a pipeline: the version that is served, and where a rollback goes.';
CREATE TABLE promotions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pipeline text NOT NULL,
    date date NOT NULL,
    kind text NOT NULL CHECK (kind IN ('promotion', 'rollback')),
    from_digest text,
    to_digest text,
    from_version text,
    to_version text,
    verdict text NOT NULL,
    metrics jsonb NOT NULL,
    reasons jsonb NOT NULL,
    approved_by text NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE promotions IS 'Which model is champion from which date on; to_digest is null where the challenger was rejected.';
CREATE UNIQUE INDEX promotions_of_a_day ON promotions (pipeline, date) WHERE kind = 'promotion';
CREATE INDEX promotions_by_date ON promotions (pipeline, date);
"""

_ENTITY = """
CREATE VIEW {current} AS SELECT {columns} FROM {parent} AS t
WHERE t.version = (SELECT version FROM served WHERE pipeline = {pipeline})
"""
# An array, not IN: a lookup then probes each partition once, whatever the planner thinks of `publication`.
_EVENT = """
CREATE VIEW {current} AS SELECT {columns} FROM {parent} AS t
WHERE t.version = ANY (ARRAY(
    SELECT p.version FROM publication AS p
    WHERE p.pipeline = {pipeline} AND p.state = 'current' AND p.date <= (
        SELECT now.date FROM served JOIN publication AS now USING (pipeline, version)
        WHERE served.pipeline = {pipeline})))
"""
_HISTORY = """
CREATE VIEW {history} AS SELECT {columns}, p.model_digest, p.model_version, p.state
FROM {parent} AS t JOIN publication AS p ON p.pipeline = {pipeline} AND p.version = t.version
WHERE p.state <> 'loading'
"""


@contextmanager
def connect(dsn: str, application: str = "nightshift") -> Iterator[connection]:
    """A session on a database that has the bookkeeping tables; makes them where they are missing."""
    with postgres.connect(dsn, application) as session:
        with session.cursor() as cursor:
            missing = _kind(cursor, Identifier("promotions")) is None
        if missing:
            with session, session.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_DDL_LOCK,))
                if _kind(cursor, Identifier("promotions")) is None:
                    cursor.execute(_BOOKKEEPING)
        yield session


def ensure(session: connection, pipeline: str, tables: Sequence[Table]) -> None:
    """Make the partitioned tables and their views; ConfigError when one exists with other columns."""
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


def current(table: Table) -> Identifier:
    return Identifier(f"{table.name}_current")


def history(table: Table) -> Identifier:
    return Identifier(f"{table.name}_history")


def _create(cursor: cursor, pipeline: str, table: Table) -> None:
    if _kind(cursor, current(table)) is not None:
        raise ConfigError(
            f"the view {table.name}_current exists already, for another pipeline",
            remedy=f"give the table {table.name} of {pipeline} a name of its own in tables.py",
        )
    words: dict[str, Composable] = {
        "parent": parent(pipeline, table), "current": current(table), "history": history(table),
        "pipeline": Literal(pipeline), "columns": _selected(table), "grain": Literal(f"{table.grain}, and version"),
    }  # fmt: skip
    columns = SQL(", ").join(
        SQL("{} {}{}").format(
            Identifier(field.name),
            SQL(postgres.column_type(field)),
            SQL("" if field.nullable else " NOT NULL"),
        )
        for field in table.schema
    )
    cursor.execute(SQL("CREATE SCHEMA IF NOT EXISTS {}").format(Identifier(pipeline)))
    cursor.execute(
        SQL("CREATE TABLE {} (version text NOT NULL, {}) PARTITION BY LIST (version)").format(
            words["parent"], columns
        )
    )
    cursor.execute(SQL("COMMENT ON TABLE {parent} IS {grain}").format(**words))
    cursor.execute(SQL(_EVENT if table.kind == "event" else _ENTITY).format(**words))
    cursor.execute(SQL(_HISTORY).format(**words))


def _selected(table: Table) -> Composable:
    return SQL(", ").join(Identifier("t", name) for name in ("version", *table.schema.names))


def _same_columns(cursor: cursor, pipeline: str, table: Table) -> None:
    cursor.execute(
        "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute"
        " WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        (parent(pipeline, table).as_string(cursor),),
    )
    found = [name for name, _ in cursor.fetchall()]
    if found != (wanted := ["version", *table.schema.names]):
        raise ConfigError(
            f"{pipeline}.{table.name} in PostgreSQL has the columns {found}, tables.py says {wanted}",
            remedy="alter the table and its views to what tables.py says, or give the new shape a new name",
        )


def _kind(cursor: cursor, name: Identifier) -> str | None:
    """The kind of a relation ('r', 'p', 'v'), or None when there is none of that name on the search path."""
    cursor.execute("SELECT relkind FROM pg_class WHERE oid = to_regclass(%s)", (name.as_string(cursor),))
    row = cursor.fetchone()
    return str(row[0]) if row else None
