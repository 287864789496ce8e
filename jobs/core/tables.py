"""The operational tables that a use case reads, and the daily tables that it makes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Literal

import pyarrow as pa

from jobs.core.digest import table_digest
from jobs.core.params import Section

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame

Days = dict[str, list[date]]
Frames = Mapping[str, "DataFrame"]


@dataclass(frozen=True, eq=False)
class Source:
    """An operational table and how one day of it is read and judged.

    `query` selects the columns of `schema` for [%(start)s, %(end)s) by the upstream column `time`. Without
    one the table is read whole, and a re-extract of D keeps what D has, unless asked to refresh it. `tables`
    are the upstream tables and the columns that it needs of them. `money` maps a column of the schema, in
    integer minor units, to the upstream column that holds major units. `rules` returns one reason, or null,
    for each row. `closes` are columns in which a date without a time means the end of that day: when something
    became known, for instance.
    """

    name: str
    query: str
    tables: Mapping[str, tuple[str, ...]]
    schema: pa.Schema
    key: tuple[str, ...]
    time: str | None
    required: tuple[str, ...]
    money: Mapping[str, str]
    rules: Callable[[pd.DataFrame, date, Section], pd.Series]
    closes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Table:
    """A table with one partition a day. Its grain is (date, *key).

    `ranked`: the key ends in a rank, and a lookup by the rest of it answers with all ranks, in order.
    `added`: the last columns of the schema, which later releases added by a migration, oldest first.
    `text`: columns with sentences for people. Digests leave them out, so that wording can improve.
    """

    name: str
    key: tuple[str, ...]
    schema: pa.Schema  # first column: date
    grain: str
    kind: Literal["aggregate", "entity", "event"] = "aggregate"
    ranked: bool = False
    added: tuple[str, ...] = ()
    text: tuple[str, ...] = ()

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
        coverages += releases if self.text else []
        return any(table_digest(rows.select(columns), self.key) == digest for columns in coverages)

    def _without_text(self, columns: Iterable[str]) -> list[str]:
        return [name for name in columns if name not in self.text]

    @property
    def lookup_key(self) -> tuple[str, ...]:
        """The columns that a lookup names."""
        return self.key[:-1] if self.ranked else self.key
