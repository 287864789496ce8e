"""What operational tables are: loader, simulator and their SQL derive from such values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor

Kind = Literal["text", "id", "time", "unix", "report", "money", "number", "integer", "flag", "json"]
SQL_TYPE: dict[Kind, str] = {
    "text": "text",
    "id": "text",  # an identifier; --integer-ids and notes apply to these
    "time": "timestamptz",
    "unix": "timestamptz",  # a time that files may have in seconds since 1970
    "report": "timestamptz",  # the time of a report: a date means the end of that day
    "money": "numeric(14,2)",
    "number": "double precision",
    "integer": "integer",
    "flag": "boolean",
    "json": "jsonb",
}


@dataclass(frozen=True)
class Range:
    """From `low` to `high`, both included; `reason` rejects a value outside."""

    low: float | datetime
    high: float | datetime
    reason: str


@dataclass(frozen=True)
class OperationalColumn:
    """A column and how it is read: `also` are other names of it in files, `within` the valid range.

    `cost` is the consequence if no file supplies it.
    """

    name: str
    kind: Kind = "text"
    required: bool = False
    also: tuple[str, ...] = ()
    within: Range | None = None
    cost: str = ""
    meaning: str = ""  # of columns of operational tables

    def ddl(self) -> sql.Composable:
        null = sql.SQL(" NOT NULL" if self.required else "")
        return sql.SQL("{} {}{}").format(
            sql.Identifier(self.name), sql.SQL(SQL_TYPE[self.kind]), null
        )


@dataclass(frozen=True)
class OperationalTable:
    """An operational table.

    Its first column is the primary key, `time` the one extract selects by.
    """

    name: str
    columns: tuple[OperationalColumn, ...]
    time: str | None = None

    @property
    def key(self) -> str:
        return self.columns[0].name

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)


def create(cursor: Cursor, table: OperationalTable) -> bool:
    """Create `table` without key and index if it is missing; return whether it was missing."""
    cursor.execute("SELECT to_regclass(%s) IS NULL", (table.name,))
    missing = bool(cursor.fetchone() == (True,))
    if missing:
        columns = sql.SQL(", ").join(column.ddl() for column in table.columns)
        cursor.execute(sql.SQL("CREATE TABLE {} ({})").format(sql.Identifier(table.name), columns))
    return missing


def has_key(cursor: Cursor, table: OperationalTable) -> bool:
    cursor.execute(
        "SELECT FROM pg_index WHERE indisprimary AND indrelid = to_regclass(%s)", (table.name,)
    )
    return cursor.rowcount > 0


def index(cursor: Cursor, table: OperationalTable) -> None:
    """Create the primary key of `table`, and the index of its time, if missing."""
    name, key = sql.Identifier(table.name), sql.Identifier(table.key)
    if not has_key(cursor, table):
        cursor.execute(sql.SQL("ALTER TABLE {} ADD PRIMARY KEY ({})").format(name, key))
    if table.time is None:
        return
    # btree, not BRIN, which does not cover new pages until a vacuum: one day of a million freshly
    # loaded rows then takes 180 ms instead of 3 ms.
    by_time, time = sql.Identifier(f"{table.name}_{table.time}"), sql.Identifier(table.time)
    cursor.execute(sql.SQL("CREATE INDEX IF NOT EXISTS {} ON {} ({})").format(by_time, name, time))
