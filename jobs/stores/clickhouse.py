"""ClickHouse: tables with one partition per day; one statement replaces a day.

That statement is atomic unless the engine itself dies within it, which with chDB happens when the
step dies. A table named `…__swap_…` then has the rows that were being swapped in, and the next
process that opens the store completes the swap.

The DSN selects the engine: `chdb:///folder` runs in this process, `clickhouse://…` is a server. A
database has the name of its pipeline. Only one process at a time can open a chDB folder, so open
late and close early.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import clickhouse_connect
import pyarrow as pa
from clickhouse_connect.driver.binding import quote_identifier
from clickhouse_connect.driver.exceptions import ClickHouseError

from jobs.core.checks import Check, equal
from jobs.core.errors import ConfigError, StoreError
from jobs.core.failures import explain
from jobs.core.pipelines import PIPELINES
from jobs.core.settings import CLICKHOUSE, Settings
from jobs.core.tables import Column, Table
from jobs.stores.versions import Migration, migrations, require

OPEN_SECONDS = 600.0
_VERSIONS = ("nightshift", "migrations")
_STAGE, _SWAP = "__stage_", "__swap_"
# chDB's error for a folder that another process has open; it writes the reason only to standard
# error.
_BUSY = "Error initializing EmbeddedServer: . "

_TYPES = {
    pa.string(): "String",
    pa.int64(): "Int64",
    pa.decimal128(38, 0): "Decimal(38, 0)",
    pa.float64(): "Float64",
    pa.bool_(): "Bool",
    pa.date32(): "Date",
    pa.timestamp("us", "UTC"): "DateTime64(6, 'UTC')",
}


class ClickHouse:
    """An open client; the `database` of its methods is the pipeline."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def read(self, database: str, table: Table, days: Sequence[date]) -> pa.Table:
        """Return the rows of `days`, sorted by date and key.

        None if the table does not exist yet.
        """
        if not self._exists(database, table.name):
            return table.schema.empty_table()
        query = (
            f"SELECT {_columns(table)} FROM {_name(database, table.name)}"  # noqa: S608
            " WHERE date IN {days:Array(Date)}"
        )
        rows: pa.Table = self.client.query_arrow(
            query, parameters={"days": list(days)}, use_strings=True
        )
        return rows.cast(table.schema).sort_by(
            [("date", "ascending"), *((k, "ascending") for k in table.key)]
        )

    def read_partition(self, database: str, table: Table, day: date) -> pa.Table:
        return self.read(database, table, [day])

    def days(self, database: str, table: Table) -> list[date]:
        """Return the days that have rows, oldest first."""
        if not self._exists(database, table.name):
            return []
        query = f"SELECT DISTINCT date FROM {_name(database, table.name)} ORDER BY date"  # noqa: S608
        return [row[0] for row in self.client.query(query).result_rows]

    def stage(self, database: str, table: Table, day: date, attempt: str, rows: pa.Table) -> str:
        """Write `rows` to a new staging table of this attempt; return its name.

        Staging tables of dead attempts at the day are dropped; the caller holds the lock on the
        day.
        """
        self._create(database, table)
        self._drop_stale(database, table, day)
        staging = f"{table.name}{_STAGE}{day:%Y%m%d}_{attempt}"
        self.client.command(
            f"CREATE TABLE {_name(database, staging)} AS {_name(database, table.name)}"
        )
        if rows.num_rows:
            fitted = rows.select(table.schema.names).cast(table.schema)
            # Qualified here, since the client does not quote a name that contains a dot.
            self.client.insert_arrow(_name(database, staging), fitted)
        return staging

    def check(
        self, database: str, staging: str, table: Table, day: date, expected: int
    ) -> list[Check]:
        """Return checks of severity `fail`: row count, unique keys, empty keys, dates."""
        key = ", ".join(map(quote_identifier, table.key))
        empty = " OR ".join(f"empty(toString({quote_identifier(column)}))" for column in table.key)
        query = (
            f"SELECT count(), uniqExact({key}), countIf({empty}), countIf(date != {{day:Date}})"  # noqa: S608
            f" FROM {_name(database, staging)}"
        )
        rows, keys, empties, strangers = self.client.query(
            query, parameters={"day": day}
        ).result_rows[0]
        return [
            equal(f"{table.name}.rows", rows, expected),
            equal(f"{table.name}.unique_keys", keys, rows, "keys must be unique"),
            equal(f"{table.name}.empty_keys", empties, 0),
            equal(f"{table.name}.other_dates", strangers, 0, f"every date must be {day}"),
        ]

    def swap(self, database: str, staging: str) -> None:
        """Replace the day with the rows of `staging`, and drop that table."""
        ready = staging.replace(_STAGE, _SWAP)
        self.client.command(f"RENAME TABLE {_name(database, staging)} TO {_name(database, ready)}")
        self._replace(database, ready)

    def finish_swaps(self) -> None:
        """Complete the swaps in which the engine died: their days may have old and new rows."""
        query = "SELECT database, name FROM system.tables WHERE position(name, {mark:String}) > 0"
        for database, ready in self.client.query(query, parameters={"mark": _SWAP}).result_rows:
            self._replace(database, ready)

    def staging(self, database: str) -> dict[str, datetime]:
        """Return the staging tables of dead and running attempts: name and creation time (UTC)."""
        query = (
            "SELECT name, toUnixTimestamp(metadata_modification_time) FROM system.tables"
            " WHERE database = {database:String}"
            " AND (position(name, {stage:String}) > 0 OR position(name, {swap:String}) > 0)"
            " ORDER BY name"
        )
        marks = {"database": database, "stage": _STAGE, "swap": _SWAP}
        rows = self.client.query(query, parameters=marks).result_rows
        return {name: datetime.fromtimestamp(created, UTC) for name, created in rows}

    def drop(self, database: str, staging: str) -> None:
        """Drop a staging table if it exists."""
        self.client.command(f"DROP TABLE IF EXISTS {_name(database, staging)} SYNC")

    def drop_day(self, database: str, table: Table, day: date) -> None:
        """Remove a day and its staging tables, if they exist."""
        self._drop_stale(database, table, day)
        if self._exists(database, table.name):
            statement = f"ALTER TABLE {_name(database, table.name)} DROP PARTITION {{day:Date}}"
            self.client.command(statement, parameters={"day": day})

    def _drop_stale(self, database: str, table: Table, day: date) -> None:
        for mark in (_STAGE, _SWAP):
            for stale in self._tables(database, f"{table.name}{mark}{day:%Y%m%d}_"):
                self.drop(database, stale)

    def _replace(self, database: str, ready: str) -> None:
        table, _, rest = ready.rpartition(_SWAP)
        source = _name(database, ready)
        (rows,) = self.client.query(f"SELECT count() FROM {source}").result_rows[0]  # noqa: S608
        # REPLACE PARTITION refuses an empty source, so an empty day is a dropped partition.
        change = (
            f"REPLACE PARTITION {{day:Date}} FROM {source}" if rows else "DROP PARTITION {day:Date}"
        )
        day = datetime.strptime(rest.partition("_")[0], "%Y%m%d").date()
        statement = f"ALTER TABLE {_name(database, table)} {change}"
        self.client.command(statement, parameters={"day": day})
        self.client.command(f"DROP TABLE {source} SYNC")

    def schema_version(self) -> int | None:
        """Return the schema version.

        0 for tables of a release without versions, None without tables.
        """
        if self._exists(*_VERSIONS):
            newest = f"SELECT max(number) FROM {_name(*_VERSIONS)}"  # noqa: S608
            return int(self.client.query(newest).result_rows[0][0])
        query = "SELECT count() FROM system.tables WHERE database IN {pipelines:Array(String)}"
        (tables,) = self.client.query(query, parameters={"pipelines": list(PIPELINES)}).result_rows[
            0
        ]
        return 0 if tables else None

    def record(self, migration: Migration) -> None:
        """Record a migration after its change; ClickHouse has no transaction around both."""
        self.client.command(f"CREATE DATABASE IF NOT EXISTS {quote_identifier(_VERSIONS[0])}")
        self.client.command(
            f"CREATE TABLE IF NOT EXISTS {_name(*_VERSIONS)}"
            " (number UInt32, name String, applied_at DateTime)"
            " ENGINE = ReplacingMergeTree ORDER BY number"
            " COMMENT 'one row a migration that this store has'"
        )
        row = [migration.number, migration.name, datetime.now(UTC)]
        self.client.insert(_name(*_VERSIONS), [row], column_names=["number", "name", "applied_at"])

    def _create(self, database: str, table: Table) -> None:
        if self.schema_version() is None:  # before the first table, which needs no migration
            for migration in migrations("clickhouse"):
                self.record(migration)
        columns = [
            f"{quote_identifier(column.name)} {column_type(column)} COMMENT {_text(column.comment)}"
            for column in table.columns
        ]
        order = ", ".join(map(quote_identifier, table.key))
        self.client.command(f"CREATE DATABASE IF NOT EXISTS {quote_identifier(database)}")
        self.client.command(
            f"CREATE TABLE IF NOT EXISTS {_name(database, table.name)} ({', '.join(columns)})"
            f" ENGINE = MergeTree PARTITION BY date ORDER BY ({order}) COMMENT {_text(table.grain)}"
        )

    def _exists(self, database: str, name: str) -> bool:
        return name in self._tables(database, name)

    def _tables(self, database: str, prefix: str) -> list[str]:
        query = (
            "SELECT name FROM system.tables"
            " WHERE database = {database:String} AND startsWith(name, {prefix:String})"
        )
        answer = self.client.query(query, parameters={"database": database, "prefix": prefix})
        return [row[0] for row in answer.result_rows]


@contextmanager
def connect_clickhouse(
    settings: Settings, wait: float = OPEN_SECONDS, *, check: bool = True
) -> Iterator[ClickHouse]:
    """Open ClickHouse.

    With chDB, retry up to `wait` seconds while another process has the folder open.

    StoreError if it cannot be opened in time or a statement fails; DataError if a part is damaged;
    ConfigError if it refuses the login, or if its schema is older or newer than this code's (unless
    `check` is false, for migrations).
    """
    client = _open(settings.clickhouse, wait)
    store = ClickHouse(client)
    try:
        if check and (number := store.schema_version()) is not None:
            require("clickhouse", number)
        if _folder(settings.clickhouse):  # open to this process alone, so no other swap is running
            store.finish_swaps()
        yield store
    except ClickHouseError as error:
        raise explain(error, settings.clickhouse) from error
    finally:
        client.close()


def _open(dsn: str, wait: float) -> Any:
    if folder := _folder(dsn):
        if "?" in str(folder):
            raise ConfigError(
                "chDB cannot store data under a path with a question mark",
                input=str(folder),
                remedy=f"set NIGHTSHIFT_HOME, or {CLICKHOUSE}, to a folder without one",
            )
        folder.parent.mkdir(parents=True, exist_ok=True)
    deadline, pause = time.monotonic() + wait, 0.05
    while True:
        try:
            if folder:  # passed as a path, since `%` and `#` are special in an address
                return clickhouse_connect.get_client(interface="chdb", path=str(folder))
            return clickhouse_connect.get_client(dsn=dsn)
        except ClickHouseError as error:
            if not folder or _BUSY not in str(error):
                raise explain(error, dsn) from None
            if time.monotonic() >= deadline:
                raise StoreError(
                    f"ClickHouse cannot be opened: waited {wait:g} s for {_holder(folder)}, "
                    "which has it open",
                    remedy="wait for that process or stop it, then run the step again",
                    input=dsn,
                    section="clickhouse-is-held-by-another-process",
                ) from None
        time.sleep(pause)
        pause = min(1.0, pause * 1.5)


def _folder(dsn: str) -> Path | None:
    """Return the data folder of chDB; None for a server."""
    return Path(dsn.removeprefix("chdb://")) if dsn.startswith("chdb://") else None


def _holder(folder: Path) -> str:
    """Return the process that has the folder open, from chDB's file `status` (`PID: 12`, …)."""
    try:
        return f"process {(folder / 'status').read_text().split()[1]}"
    except (OSError, IndexError):
        return "another process"


def _name(database: str, table: str) -> str:
    return f"{quote_identifier(database)}.{quote_identifier(table)}"


def _columns(table: Table) -> str:
    return ", ".join(map(quote_identifier, table.schema.names))


def column_type(column: Column) -> str:
    """The column's type in ClickHouse."""
    name = _TYPES[column.type]
    return f"Nullable({name})" if column.nullable else name


def _text(value: str) -> str:
    """Return a string literal, since DDL takes no bound parameters; the texts are our own."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
