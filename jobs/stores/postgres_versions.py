"""The schema version of a PostgreSQL database: `nightshift_migrations`, one row per migration."""

from __future__ import annotations

from psycopg2.extensions import connection, cursor

from jobs.stores.versions import Migration, Store, migrations

TABLE = """
CREATE TABLE IF NOT EXISTS nightshift_migrations (
    store text NOT NULL,
    number integer NOT NULL,
    name text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (store, number)
);
COMMENT ON TABLE nightshift_migrations IS 'One row per applied migration; grain (store, number).';
"""


def version(session: connection, store: Store, *tables: str) -> int | None:
    """Return the version of `store`.

    0 for tables of a release without versions, None while none of `tables` exists.
    """
    with session.cursor() as cursor:
        cursor.execute(
            "SELECT has_table_privilege(to_regclass('nightshift_migrations'), 'SELECT'),"
            " EXISTS (SELECT FROM unnest(%s) AS name WHERE to_regclass(name) IS NOT NULL)",
            (list(tables),),
        )
        versioned, created = cursor.fetchone() or (False, False)
        if versioned:
            cursor.execute(
                "SELECT max(number) FROM nightshift_migrations WHERE store = %s", (store,)
            )
            (number,) = cursor.fetchone() or (None,)
            if number is not None:
                return int(number)
    return 0 if created else None


def record(cursor: cursor, migration: Migration) -> None:
    """Record a migration, in the transaction of `cursor`."""
    cursor.execute("SET LOCAL client_min_messages = warning")  # no notice that the table exists
    cursor.execute(TABLE)
    cursor.execute(
        "INSERT INTO nightshift_migrations (store, number, name) VALUES (%s, %s, %s)"
        " ON CONFLICT DO NOTHING",
        (migration.store, migration.number, migration.name),
    )


def make(cursor: cursor, store: Store) -> None:
    """Create the newest schema of `store` in an empty database, in the transaction of `cursor`."""
    for migration in migrations(store):
        if migration.file.suffix == ".sql":
            cursor.execute(migration.file.read_text())
        record(cursor, migration)
