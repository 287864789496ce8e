"""The table of a version: loaded, keyed and verified before it becomes a partition."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import pyarrow as pa
from psycopg2.extensions import connection, cursor
from psycopg2.sql import SQL, Identifier, Literal

from jobs.core.checks import Check, enforce, equal
from jobs.core.tables import Table
from jobs.serving import publications, schema
from jobs.serving.schema import parent, partition, partition_name
from jobs.stores import postgres

_LOCK_TIMEOUT = "10s"
_SETTLE_SECONDS = 2.0


def load(session: connection, pipeline: str, table: Table, version: str, rows: pa.Table) -> None:
    """Create, fill and key the version's table in one transaction."""
    name = partition(pipeline, table, version)
    key = SQL(", ").join(map(Identifier, table.key))
    with session, session.cursor() as cursor:
        cursor.execute(SQL("DROP TABLE IF EXISTS {}").format(name))
        # With the check, ATTACH needs no scan; with the default, COPY needs no version column.
        cursor.execute(
            SQL("CREATE TABLE {} (LIKE {}, CHECK (version = {}))").format(
                name, parent(pipeline, table), Literal(version)
            )
        )
        cursor.execute(
            SQL("ALTER TABLE {} ALTER COLUMN version SET DEFAULT {}").format(name, Literal(version))
        )
        postgres.copy_in(cursor, name, rows.select(table.schema.names))
        cursor.execute(SQL("ALTER TABLE {} ADD PRIMARY KEY ({})").format(name, key))
    with session.cursor() as cursor:
        cursor.execute(SQL("ANALYZE {}").format(name))


def replace(
    session: connection, pipeline: str, contents: Mapping[Table, pa.Table], version: str
) -> None:
    """Replace the rows of attached tables in one transaction.

    Readers see only old or only new rows.

    DataError, without a change, if the rows read back differ from those written.
    """
    with session, session.cursor() as cursor:
        for table, rows in contents.items():
            name = partition(pipeline, table, version)
            # Unlike TRUNCATE, DELETE does not block readers.
            cursor.execute(SQL("DELETE FROM {}").format(name))
            postgres.copy_in(cursor, name, rows.select(table.schema.names), created=False)
            enforce(
                check(session, pipeline, table, version, rows.num_rows, table.digest(rows)),
                remedy="read the failed check; the table was not changed",
                input=partition_name(table, version),
            )
    with session.cursor() as cursor:
        for table in contents:
            cursor.execute(SQL("VACUUM (ANALYZE) {}").format(partition(pipeline, table, version)))


def read(session: connection, pipeline: str, table: Table, version: str) -> pa.Table:
    """Return the rows of one version, unordered."""
    query = SQL("SELECT {} FROM {}").format(
        postgres.names(table.schema), partition(pipeline, table, version)
    )
    with session.cursor() as cursor:
        return postgres.copy_out(cursor, query, table.schema)


def holds(session: connection, pipeline: str, table: Table, version: str, digest: str) -> bool:
    """Whether the rows of one version still have the digest from when it was published."""
    return table.matches(read(session, pipeline, table, version), digest)


def check(
    session: connection, pipeline: str, table: Table, version: str, rows: int, digest: str
) -> list[Check]:
    """Return checks that the loaded rows, read back, equal the predictions in count and content."""
    loaded = read(session, pipeline, table, version)
    same = table.matches(loaded, digest)
    return [
        equal(f"{table.name}.rows", loaded.num_rows, rows),
        equal(f"{table.name}.content", float(same), 1, "content read back equals the predictions"),
    ]


def attach(session: connection, pipeline: str, tables: Sequence[Table], version: str) -> None:
    """Attach the loaded tables as partitions and mark the version as ready, in one transaction."""
    with session, session.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", (_LOCK_TIMEOUT,))
        for table in tables:
            cursor.execute(
                SQL("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES IN ({})").format(
                    parent(pipeline, table), partition(pipeline, table, version), Literal(version)
                )
            )
        publications.ready(cursor, pipeline, version)


def settle(session: connection, pipeline: str, tables: Sequence[Table]) -> None:
    """Wait, up to a limit, for statements that were planned before an attach.

    A statement takes its snapshot after it was planned. Planned before the attach and run after the
    flip, it would look for a version that is not in its plan, and return no row.
    """
    with session.cursor() as cursor:
        earlier = readers = _users(cursor, pipeline, tables)
        deadline = time.monotonic() + _SETTLE_SECONDS
        while earlier & readers and time.monotonic() < deadline:
            time.sleep(0.01)
            readers = _users(cursor, pipeline, tables)


def attached(session: connection, pipeline: str, table: Table) -> set[str]:
    """Return the versions that are partitions, except those with an interrupted detach."""
    return {name for name, pending in _partitions(session, pipeline, table) if not pending}


def half_detached(session: connection, pipeline: str, table: Table) -> set[str]:
    return {name for name, pending in _partitions(session, pipeline, table) if pending}


def loose(session: connection, pipeline: str, table: Table) -> set[str]:
    """Return the versions in tables that are no partition: half loaded, or detached only."""
    with session.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(%s)"
            " AND relkind = 'r' AND NOT relispartition AND starts_with(relname, %s)"
            " AND relname ~ '_[0-9]{8}_[0-9a-f]{12}$' AND length(relname) = %s",
            (
                Identifier(pipeline).as_string(cursor),
                f"{table.name}_",
                len(partition_name(table, "-" * 21)),
            ),
        )
        return {_version(table, row[0]) for row in cursor.fetchall()}


def _partitions(session: connection, pipeline: str, table: Table) -> list[tuple[str, bool]]:
    with session.cursor() as cursor:
        cursor.execute(
            "SELECT relname, inhdetachpending FROM pg_inherits"
            " JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = to_regclass(%s)",
            (parent(pipeline, table).as_string(cursor),),
        )
        return [(_version(table, name), pending) for name, pending in cursor.fetchall()]


def _version(table: Table, relation: str) -> str:
    return relation.removeprefix(f"{table.name}_").replace("_", "-")


def _users(cursor: cursor, pipeline: str, tables: Sequence[Table]) -> set[str]:
    """Return the transactions that hold a lock on one of the tables."""
    cursor.execute(
        "SELECT virtualtransaction FROM pg_locks WHERE granted AND pid <> pg_backend_pid()"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        " AND relation = ANY(%s::regclass[])",
        ([schema.parent(pipeline, table).as_string(cursor) for table in tables],),
    )
    return {row[0] for row in cursor.fetchall()}
