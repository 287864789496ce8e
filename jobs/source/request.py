"""What is to be loaded, from where, and how it is to be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from jobs.core.errors import ConfigError
from jobs.source import MAX_BAD_FRACTION
from jobs.source.csv_file import CsvFormat
from jobs.source.mapping import ColumnMap
from jobs.source.schema import Column, Table


@dataclass(frozen=True)
class LabelRule:
    """Labels from a column of the transactions' own file, reported `delay` after the transaction.

    Unless `genuine`, only frauds get a row: without one, an event older than the delay is genuine anyway. A
    transaction that has a label already gets the new one in any case.
    """

    column: str
    delay: timedelta = timedelta(days=7)
    genuine: bool = False


@dataclass(frozen=True)
class Request:
    """What to load: `table` from the files that `patterns` match."""

    table: Table
    patterns: tuple[str, ...]
    columns: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    label: LabelRule | None = None
    csv: CsvFormat = field(default_factory=CsvFormat)
    timezone: str = "UTC"
    max_bad_fraction: float = MAX_BAD_FRACTION

    def __post_init__(self) -> None:
        ColumnMap(self.columns, self.constants).check(self.table.columns)
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ConfigError(
                f"there is no time zone {self.timezone!r}", remedy="use a name like UTC or Europe/Berlin"
            ) from None

    @property
    def map(self) -> ColumnMap:
        labels = {"is_fraud": self.label.column} if self.label else {}
        return ColumnMap({**self.columns, **labels}, self.constants)

    @property
    def supplied(self) -> tuple[Column, ...]:
        """The columns that the files may supply."""
        return (*self.table.columns, Column("is_fraud", "flag")) if self.label else self.table.columns

    @property
    def staged(self) -> tuple[Column, ...]:
        return (*self.supplied, Column("reported_at", "time")) if self.label else self.supplied
