"""ClickHouse: tables with one partition a day, each day replaced by one statement.

The DSN decides where: `chdb:///folder` is the engine in this process, `clickhouse://…` a server. A database
has the name of its pipeline. A chDB folder is open to one process at a time, so open late and close early.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import clickhouse_connect
import pyarrow as pa
from clickhouse_connect.driver.binding import quote_identifier
from clickhouse_connect.driver.exceptions import ClickHouseError, OperationalError, ProgrammingError

from jobs.core.checks import Check, equal
from jobs.core.errors import StoreError
from jobs.core.settings import Settings
from jobs.core.usecase import Table

OPEN_SECONDS = 600.0

_TYPES = {
    pa.string(): "String",
    pa.int64(): "Int64",
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
        query = (
            f"SELECT {_columns(table)} FROM {_name(database, table.name)} WHERE date IN {{days:Array(Date)}}"  # noqa: S608
        )
        found: pa.Table = self.client.query_arrow(query, parameters={"days": list(days)}, use_strings=True)
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
        prefix = f"{table.name}__stage_{day:%Y%m%d}_"
        for stale in self._tables(database, prefix):
            self.client.command(f"DROP TABLE IF EXISTS {_name(database, stale)} SYNC")
        staging = f"{prefix}{attempt}"
        self.client.command(f"CREATE TABLE {_name(database, staging)} AS {_name(database, table.name)}")
        if rows.num_rows:
            self.client.insert_arrow(
                staging, rows.select(table.schema.names).cast(table.schema), database=database
            )
        return staging

    def check(self, database: str, staging: str, table: Table, day: date, expected: int) -> list[Check]:
        """Row count, key uniqueness, no empty key, dates equal the partition: all of severity `fail`."""
        key = ", ".join(map(quote_identifier, table.key))
        empty = " OR ".join(f"empty(toString({quote_identifier(column)}))" for column in table.key)
        query = (
            f"SELECT count(), uniqExact({key}), countIf({empty}), countIf(date != {{day:Date}})"  # noqa: S608
            f" FROM {_name(database, staging)}"
        )
        rows, keys, empties, strangers = self.client.query(query, parameters={"day": day}).result_rows[0]
        return [
            equal(f"{table.name}.rows", rows, expected),
            equal(f"{table.name}.unique_keys", keys, expected, "keys must be unique"),
            equal(f"{table.name}.empty_keys", empties, 0),
            equal(f"{table.name}.other_dates", strangers, 0, f"every date must be {day}"),
        ]

    def swap(self, database: str, staging: str, table: Table, day: date, rows: int) -> None:
        """Replace the day by the staged rows in one statement, and drop the staging table."""
        target = _name(database, table.name)
        # REPLACE PARTITION refuses an empty source, so an empty day is a dropped partition.
        replace = (
            f"REPLACE PARTITION {{day:Date}} FROM {_name(database, staging)}"
            if rows
            else "DROP PARTITION {day:Date}"
        )
        self.client.command(f"ALTER TABLE {target} {replace}", parameters={"day": day})
        self.client.command(f"DROP TABLE {_name(database, staging)} SYNC")

    def _create(self, database: str, table: Table) -> None:
        columns = ", ".join(f"{quote_identifier(field.name)} {_type(field)}" for field in table.schema)
        order = ", ".join(map(quote_identifier, table.key))
        self.client.command(f"CREATE DATABASE IF NOT EXISTS {quote_identifier(database)}")
        self.client.command(
            f"CREATE TABLE IF NOT EXISTS {_name(database, table.name)} ({columns}) ENGINE = MergeTree"
            f" PARTITION BY date ORDER BY ({order}) COMMENT {_text(table.grain)}"
        )

    def _exists(self, database: str, name: str) -> bool:
        return name in self._tables(database, name)

    def _tables(self, database: str, prefix: str) -> list[str]:
        query = "SELECT name FROM system.tables WHERE database = {database:String} AND startsWith(name, {prefix:String})"
        found = self.client.query(query, parameters={"database": database, "prefix": prefix})
        return [row[0] for row in found.result_rows]


@contextmanager
def connect(settings: Settings, wait: float = OPEN_SECONDS) -> Iterator[ClickHouse]:
    """An open ClickHouse; for chDB, waits with back-off while another process has the folder open.

    StoreError when it cannot be had within `wait` seconds, or when a statement fails.
    """
    client = _open(settings.clickhouse, wait)
    try:
        yield ClickHouse(client)
    except ClickHouseError as error:
        raise StoreError(
            f"ClickHouse: {error}", remedy="read its message, then run the step again"
        ) from error
    finally:
        client.close()


def _open(dsn: str, wait: float) -> Any:
    if dsn.startswith("chdb://"):
        Path(dsn.removeprefix("chdb://")).parent.mkdir(parents=True, exist_ok=True)
    deadline, pause = time.monotonic() + wait, 0.05
    while True:
        try:
            return clickhouse_connect.get_client(dsn=dsn)
        except (ProgrammingError, OperationalError) as error:
            # "already running" (code 76) is another process in the same folder; all else will not heal by waiting.
            if "already running" not in str(error) or time.monotonic() >= deadline:
                raise StoreError(
                    f"ClickHouse cannot be opened: {str(error).strip()}",
                    remedy="let the process that has it open end (`fuser` names it), or start the server",
                    input=dsn.rpartition("@")[2],
                ) from None
        time.sleep(pause)
        pause = min(1.0, pause * 1.5)


def _name(database: str, table: str) -> str:
    return f"{quote_identifier(database)}.{quote_identifier(table)}"


def _columns(table: Table) -> str:
    return ", ".join(map(quote_identifier, table.schema.names))


def _type(field: pa.Field) -> str:
    name = _TYPES[field.type]
    return f"Nullable({name})" if field.nullable else name


def _text(value: str) -> str:
    """A string literal: DDL takes no bound parameters, and the texts are our own."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
