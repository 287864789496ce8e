"""The operational tables that a use case reads, and the daily tables that it makes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import pyarrow as pa

from jobs.core.digest import table_digest
from jobs.core.params import Section

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame

Days = dict[str, list[date]]
Frames = Mapping[str, "DataFrame"]
TIME = pa.timestamp("us", "UTC")


@dataclass(frozen=True)
class Column:
    """A column of a table, as people and stores need to know it.

    nullable  a good row may lack the value
    unit      of numbers that are not plain counts
    text      a sentence for people; digests leave it out, so that its wording can improve
    added     a later release added it by a migration; such columns come last, oldest first
    """

    name: str
    type: pa.DataType
    meaning: str
    nullable: bool = False
    unit: str = ""
    text: bool = False
    added: bool = False

    @property
    def comment(self) -> str:
        """The meaning with its unit, as stores keep it."""
        return f"{self.meaning} ({self.unit})" if self.unit else self.meaning


DATE = Column("date", pa.date32(), "day D of the row, UTC")
VERSION = Column("version", pa.string(), "version that the row belongs to")


@dataclass(frozen=True, eq=False)
class Source:
    """An operational table, how one day of it is read, and what makes its rows good.

    query    selects the columns for [%(start)s, %(end)s) by the upstream column `time`. Without a
             `time` it reads the whole table, and a second extract of D keeps what D has, unless
             asked to refresh it.
    tables   the upstream tables, and the columns that it needs of each
    money    from a column in integer minor units to the upstream column in major units
    rules    the reason why a row is not good, for each row; null for good rows
    closes   columns in which a date without a time means the end of that day, such as the day on
             which something became known
    """

    name: str
    query: str
    tables: Mapping[str, tuple[str, ...]]
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    time: str | None
    money: Mapping[str, str]
    rules: Callable[[pd.DataFrame, date, Section], pd.Series]
    closes: tuple[str, ...] = ()

    @cached_property
    def schema(self) -> pa.Schema:
        """The schema of an extract, in which every value may still be missing."""
        return pa.schema([(column.name, column.type) for column in self.columns])

    @cached_property
    def required(self) -> tuple[str, ...]:
        """The columns without which a row is not good."""
        return tuple(column.name for column in self.columns if not column.nullable)


@dataclass(frozen=True, eq=False)
class Table:
    """A table with one partition per day. Its grain is (date, *key), and its first column `date`.

    ranked   the key ends in a rank, and a lookup by the rest of the key returns all ranks in order
    """

    name: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    grain: str
    kind: Literal["aggregate", "entity", "event"] = "aggregate"
    ranked: bool = False

    @cached_property
    def schema(self) -> pa.Schema:
        return pa.schema(
            [pa.field(column.name, column.type, column.nullable) for column in self.columns]
        )

    @cached_property
    def added(self) -> tuple[str, ...]:
        """The columns that later releases added, oldest first."""
        return tuple(column.name for column in self.columns if column.added)

    @property
    def lookup_key(self) -> tuple[str, ...]:
        """The columns that a lookup names."""
        return self.key[:-1] if self.ranked else self.key

    def digest(self, rows: pa.Table) -> str:
        """The content digest of `rows`, without their text columns."""
        return table_digest(rows.select(self._without_text(rows.column_names)), self.key)

    def matches(self, rows: pa.Table, digest: str) -> bool:
        """Whether `digest` is that of `rows`, in the way of this release or of an earlier one.

        A digest covers the columns that the table had when it was made, and their names are part
        of it. Digests of earlier releases covered the text columns too.
        """
        names = self.schema.names
        releases = [names[: len(names) - later] for later in range(len(self.added) + 1)]
        coverages = [self._without_text(columns) for columns in releases]
        coverages += [columns for columns in releases if columns not in coverages]
        return any(table_digest(rows.select(columns), self.key) == digest for columns in coverages)

    def _without_text(self, columns: Iterable[str]) -> list[str]:
        text = {column.name for column in self.columns if column.text}
        return [name for name in columns if name not in text]
