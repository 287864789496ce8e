"""What to load, from which files, and how to read them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from jobs.source import MAX_BAD_FRACTION
from jobs.source.batch import InputFile
from jobs.source.csv_file import CsvFormat
from jobs.source.dialect import Dialect
from jobs.source.files import open_file
from jobs.source.mapping import ColumnMap
from jobs.source.schema import OperationalColumn, OperationalTable
from jobs.source.stage import Stage


@dataclass(frozen=True)
class Remark:
    """A remark about loaded rows.

    `query` counts them in the table `stage` and the merged tables.
    """

    text: str
    query: str


@dataclass(frozen=True)
class Companion:
    """Rows of another table in the same files: `merge` writes them and returns how many."""

    noun: str  # of the rows, in the plural
    merge: Callable[[Stage], int]


@dataclass(frozen=True)
class Reading:
    """How to turn files with other columns into rows of a table.

    `columns` are those that files may supply; `mapped` fixes the file column of some of them.
    `derive` adds the columns `derived` to their rows.
    """

    columns: tuple[OperationalColumn, ...]
    mapped: Mapping[str, str] = field(default_factory=dict)
    derived: tuple[OperationalColumn, ...] = ()
    derive: Callable[[pa.Table], pa.Table] = lambda rows: rows
    open: Callable[[Path, CsvFormat], InputFile] = open_file
    remarks: tuple[Remark, ...] = ()
    companion: Companion | None = None


@dataclass(frozen=True)
class Request:
    """What to load: `table`, from the files that match `patterns`.

    Without a `reading`, files have the columns of the table. With `missing_columns`, a file may
    lack columns of another one. `others` are further tables to create if they are missing.
    """

    table: OperationalTable
    patterns: tuple[str, ...]
    columns: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    reading: Reading | None = None
    csv: CsvFormat = field(default_factory=CsvFormat)
    dialect: Dialect = field(default_factory=Dialect)
    max_bad_fraction: float = MAX_BAD_FRACTION
    missing_columns: bool = False
    others: tuple[OperationalTable, ...] = ()

    def __post_init__(self) -> None:
        mappable = [column for column in self.supplied if column.name not in self._read.mapped]
        ColumnMap(self.columns, self.constants).check(mappable)

    @property
    def _read(self) -> Reading:
        return self.reading or Reading(self.table.columns)

    @property
    def created(self) -> tuple[OperationalTable, ...]:
        """The tables that are created if they are missing."""
        return tuple(dict.fromkeys((self.table, *self.others)))

    @property
    def map(self) -> ColumnMap:
        return ColumnMap({**self.columns, **self._read.mapped}, self.constants)

    @property
    def supplied(self) -> tuple[OperationalColumn, ...]:
        """The columns that the files may supply."""
        return self._read.columns

    @property
    def staged(self) -> tuple[OperationalColumn, ...]:
        return (*self.supplied, *self._read.derived)

    def unsupplied(self, supplied: Collection[str]) -> tuple[OperationalColumn, ...]:
        """Return the columns with a consequence that neither the files nor constants supply."""
        present = {*supplied, *self.constants}
        missing = (column for column in self.supplied if column.name not in present)
        return tuple(column for column in missing if column.cost)

    @property
    def companion(self) -> Companion | None:
        return self._read.companion

    @property
    def remarks(self) -> tuple[Remark, ...]:
        return self._read.remarks

    def open(self, path: Path) -> InputFile:
        """Open a file; see files.open_file."""
        return self._read.open(path, self.csv)

    def derive(self, rows: pa.Table) -> pa.Table:
        """Return the rows with the derived columns, ready to be staged."""
        return self._read.derive(rows)
