"""The operational tables, as data: what the loader, the simulator and their SQL are made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor

Kind = Literal["text", "id", "time", "unix", "report", "money", "number", "integer", "flag", "json"]
SQL_TYPE: dict[Kind, str] = {
    "text": "text",
    "id": "text",  # a text that says who or what; --integer-ids and notes are about these
    "time": "timestamptz",
    "unix": "timestamptz",  # a time that files may give in seconds since 1970
    "report": "timestamptz",  # a time by which something was reported: a date means the end of that day
    "money": "numeric(14,2)",
    "number": "double precision",
    "integer": "integer",
    "flag": "boolean",
    "json": "jsonb",
}


@dataclass(frozen=True)
class Range:
    """From `low` to `high`, both included; `reason` is what a value outside is told."""

    low: Any
    high: Any
    reason: str


@dataclass(frozen=True)
class Column:
    """A column, and how it is read: `also` are the names that it has in files, `within` what is loaded.

    `cost` is what is lost where no file supplies it.
    """

    name: str
    kind: Kind = "text"
    required: bool = False
    also: tuple[str, ...] = ()
    within: Range | None = None
    cost: str = ""

    def ddl(self) -> sql.Composable:
        null = sql.SQL(" NOT NULL" if self.required else "")
        return sql.SQL("{} {}{}").format(
            sql.Identifier(self.name), sql.SQL(SQL_TYPE[self.kind]), null
        )


@dataclass(frozen=True)
class Table:
    """An operational table: its first column is the primary key, `time` the column that extract selects by, if any."""

    name: str
    columns: tuple[Column, ...]
    time: str | None = None

    @property
    def key(self) -> str:
        return self.columns[0].name

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)


_QUARANTINED = "validate quarantines new rows without it"
_NO_FEATURE = "it is an empty feature of the fraud model"
NO_GENRES = "users have no favourite genre, and movies are compared by their titles alone"

TRANSACTIONS = Table(
    "transactions",
    (
        Column("transaction_id", "id", required=True),
        Column("event_time", "time", required=True),
        Column("customer_id", "id", cost=_QUARANTINED),
        Column("merchant_id", "id", cost=_QUARANTINED),
        Column("amount", "money", cost=_QUARANTINED),
        Column("currency", cost=_NO_FEATURE),
        Column("country", cost=_NO_FEATURE),
        Column("device_type", cost=_NO_FEATURE),
        Column("card_last_4", "id"),
    ),
    time="event_time",
)

FRAUD_LABELS = Table(
    "fraud_labels",
    (
        Column("transaction_id", "id", required=True),
        Column("is_fraud", "flag", required=True),
        Column("reported_at", "report", required=True),
    ),
    time="reported_at",
)

USER_INTERACTIONS = Table(
    "user_interactions",
    (
        Column("id", "id", required=True),
        Column("user_id", "id", required=True),
        Column("movie_id", "id", required=True),
        Column("interaction_type", required=True),
        Column("value", "number", cost="validate quarantines ratings without it"),
        Column("timestamp", "time", required=True),
        Column("metadata", "json", cost="the watch time of views is unknown"),
    ),
    time="timestamp",
)

MOVIES = Table(
    "movies",
    (
        Column("movie_id", "id", required=True),
        Column("title", required=True),
        Column("year", "integer", cost="movies are not compared by decade"),
        Column("genres", cost=NO_GENRES),
    ),
)

TABLES = (TRANSACTIONS, FRAUD_LABELS, USER_INTERACTIONS, MOVIES)


def create(cursor: Cursor, table: Table) -> bool:
    """Create `table` where it is missing, without key and index; whether it was missing."""
    cursor.execute("SELECT to_regclass(%s) IS NULL", (table.name,))
    missing = bool(cursor.fetchone() == (True,))
    if missing:
        columns = sql.SQL(", ").join(column.ddl() for column in table.columns)
        cursor.execute(sql.SQL("CREATE TABLE {} ({})").format(sql.Identifier(table.name), columns))
    return missing


def has_key(cursor: Cursor, table: Table) -> bool:
    cursor.execute(
        "SELECT FROM pg_index WHERE indisprimary AND indrelid = to_regclass(%s)", (table.name,)
    )
    return cursor.rowcount > 0


def index(cursor: Cursor, table: Table) -> None:
    """Give `table` its primary key and the index of its time, if it has one, where they are missing."""
    name, key = sql.Identifier(table.name), sql.Identifier(table.key)
    if not has_key(cursor, table):
        cursor.execute(sql.SQL("ALTER TABLE {} ADD PRIMARY KEY ({})").format(name, key))
    if table.time is None:
        return
    # btree, not BRIN: a BRIN index knows nothing of new pages until a vacuum, and one day of a million
    # freshly loaded rows then takes 180 ms instead of 3 ms.
    by_time, time = sql.Identifier(f"{table.name}_{table.time}"), sql.Identifier(table.time)
    cursor.execute(sql.SQL("CREATE INDEX IF NOT EXISTS {} ON {} ({})").format(by_time, name, time))
