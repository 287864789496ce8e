"""ClickHouse: tables with one partition a day, each day replaced by one statement.

That statement holds against everything but the death of the engine itself inside it, which for chDB is the
death of the step: a table named `…__swap_…` says what was being swapped in, and whoever opens next completes it.

The DSN decides where: `chdb:///folder` is the engine in this process, `clickhouse://…` a server. A database
has the name of its pipeline. A chDB folder is open to one process at a time, so open late and close early.
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
# How chDB refuses a folder that another process has open; the reason itself it only writes to standard error.
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
    """An open client. `database` below is the pipeline."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def read(self, database: str, table: Table, days: Sequence[date]) -> pa.Table:
        """The rows of `days`, sorted by date and key; no rows when the table does not exist yet."""
        if not self._exists(database, table.name):
            return table.schema.empty_table()
        query = f"SELECT {_columns(table)} FROM {_name(database, table.name)} WHERE date IN {{days:Array(Date)}}"  # noqa: S608
        found: pa.Table = self.client.query_arrow(
            query, parameters={"days": list(days)}, use_strings=True
        )
        return found.cast(table.schema).sort_by(
            [("date", "ascending"), *((k, "ascending") for k in table.key)]
        )

    def read_partition(self, database: str, table: Table, day: date) -> pa.Table:
        return self.read(database, table, [day])

    def days(self, database: str, table: Table) -> list[date]:
        """The days that have rows, oldest first."""
        if not self._exists(database, table.name):
            return []
        query = f"SELECT DISTINCT date FROM {_name(database, table.name)} ORDER BY date"  # noqa: S608
        return [row[0] for row in self.client.query(query).result_rows]

    def stage(self, database: str, table: Table, day: date, attempt: str, rows: pa.Table) -> str:
        """Put `rows` into a staging table made for this attempt; returns its name.

        What dead attempts at the same day left is dropped: whoever stages holds the lock on the day.
        """
        self._create(database, table)
        self._drop_stale(database, table, day)
        staging = f"{table.name}{_STAGE}{day:%Y%m%d}_{attempt}"
        self.client.command(
            f"CREATE TABLE {_name(database, staging)} AS {_name(database, table.name)}"
        )
        if rows.num_rows:
            fitted = rows.select(table.schema.names).cast(table.schema)
            # Qualified here: the client takes a name with a dot in it for qualified, and quotes nothing.
            self.client.insert_arrow(_name(database, staging), fitted)
        return staging

    def check(
        self, database: str, staging: str, table: Table, day: date, expected: int
    ) -> list[Check]:
        """Row count, key uniqueness, no empty key, dates equal the partition: all of severity `fail`."""
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
        """Replace the day by what `stage` put into `staging`, and drop that table."""
        ready = staging.replace(_STAGE, _SWAP)
        self.client.command(f"RENAME TABLE {_name(database, staging)} TO {_name(database, ready)}")
        self._replace(database, ready)

    def finish_swaps(self) -> None:
        """Complete the swaps inside which the engine died: their days may hold old rows beside new ones."""
        query = "SELECT database, name FROM system.tables WHERE position(name, {mark:String}) > 0"
        for database, ready in self.client.query(query, parameters={"mark": _SWAP}).result_rows:
            self._replace(database, ready)

    def staging(self, database: str) -> dict[str, datetime]:
        """The staging tables of attempts, dead or under way, by name: when each was made (UTC)."""
        query = (
            "SELECT name, toUnixTimestamp(metadata_modification_time) FROM system.tables"
            " WHERE database = {database:String} AND (position(name, {stage:String}) > 0 OR position(name, {swap:String}) > 0)"
            " ORDER BY name"
        )
        marks = {"database": database, "stage": _STAGE, "swap": _SWAP}
        found = self.client.query(query, parameters=marks).result_rows
        return {name: datetime.fromtimestamp(made, UTC) for name, made in found}

    def drop(self, database: str, staging: str) -> None:
        """Drop a staging table; nothing happens when it is gone."""
        self.client.command(f"DROP TABLE IF EXISTS {_name(database, staging)} SYNC")

    def drop_day(self, database: str, table: Table, day: date) -> None:
        """Remove a day, and what dead attempts at it left; nothing happens where it is gone."""
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
        how = (
            f"REPLACE PARTITION {{day:Date}} FROM {source}" if rows else "DROP PARTITION {day:Date}"
        )
        day = datetime.strptime(rest.partition("_")[0], "%Y%m%d").date()
        self.client.command(f"ALTER TABLE {_name(database, table)} {how}", parameters={"day": day})
        self.client.command(f"DROP TABLE {source} SYNC")

    def schema_version(self) -> int | None:
        """The schema version; 0 for tables of a release without versions, None while there are none."""
        if self._exists(*_VERSIONS):
            newest = f"SELECT max(number) FROM {_name(*_VERSIONS)}"  # noqa: S608
            return int(self.client.query(newest).result_rows[0][0])
        query = "SELECT count() FROM system.tables WHERE database IN {pipelines:Array(String)}"
        (tables,) = self.client.query(query, parameters={"pipelines": list(PIPELINES)}).result_rows[
            0
        ]
        return 0 if tables else None

    def record(self, migration: Migration) -> None:
        """Note that the store has a migration, after its change: there are no transactions here."""
        self.client.command(f"CREATE DATABASE IF NOT EXISTS {quote_identifier(_VERSIONS[0])}")
        self.client.command(
            f"CREATE TABLE IF NOT EXISTS {_name(*_VERSIONS)} (number UInt32, name String, applied_at DateTime)"
            " ENGINE = ReplacingMergeTree ORDER BY number COMMENT 'one row a migration that this store has'"
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
            f"CREATE TABLE IF NOT EXISTS {_name(database, table.name)} ({', '.join(columns)}) ENGINE = MergeTree"
            f" PARTITION BY date ORDER BY ({order}) COMMENT {_text(table.grain)}"
        )

    def _exists(self, database: str, name: str) -> bool:
        return name in self._tables(database, name)

    def _tables(self, database: str, prefix: str) -> list[str]:
        query = "SELECT name FROM system.tables WHERE database = {database:String} AND startsWith(name, {prefix:String})"
        found = self.client.query(query, parameters={"database": database, "prefix": prefix})
        return [row[0] for row in found.result_rows]


@contextmanager
def connect(
    settings: Settings, wait: float = OPEN_SECONDS, *, check: bool = True
) -> Iterator[ClickHouse]:
    """An open ClickHouse; for chDB, waits with back-off while another process has the folder open.

    StoreError when it cannot be had within `wait` seconds or a statement fails; DataError when a part is damaged;
    ConfigError when it refuses the login, or its schema is older or newer than this code's, unless `check` is
    false (for migrations).
    """
    client = _open(settings.clickhouse, wait)
    store = ClickHouse(client)
    try:
        if check and (number := store.schema_version()) is not None:
            require("clickhouse", number)
        if _folder(
            settings.clickhouse
        ):  # which is open to nobody else: whoever was swapping is dead
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
                "chDB cannot keep data under a path with a question mark",
                input=str(folder),
                remedy=f"set NIGHTSHIFT_HOME, or {CLICKHOUSE}, to a folder without one",
            )
        folder.parent.mkdir(parents=True, exist_ok=True)
    deadline, pause = time.monotonic() + wait, 0.05
    while True:
        try:
            if folder:  # as it is, not as part of an address, in which `%` and `#` mean something
                return clickhouse_connect.get_client(interface="chdb", path=str(folder))
            return clickhouse_connect.get_client(dsn=dsn)
        except ClickHouseError as error:
            if not folder or _BUSY not in str(error):
                raise explain(error, dsn) from None
            if time.monotonic() >= deadline:
                raise StoreError(
                    f"ClickHouse cannot be opened: waited {wait:g} s for {_holder(folder)}, which has it open",
                    remedy="let that process end or stop it, then run the step again",
                    input=dsn,
                    section="clickhouse-is-held-by-another-process",
                ) from None
        time.sleep(pause)
        pause = min(1.0, pause * 1.5)


def _folder(dsn: str) -> Path | None:
    """Where chDB keeps its data; None for a server."""
    return Path(dsn.removeprefix("chdb://")) if dsn.startswith("chdb://") else None


def _holder(folder: Path) -> str:
    """Who has the folder open, by the file `status` that chDB writes (`PID: 12`, …)."""
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
    """A string literal: DDL takes no bound parameters, and the texts are our own."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
