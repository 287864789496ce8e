"""Write simulated days to the operational tables or to parquet files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Protocol, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.source.database import writing
from jobs.source.schema import OperationalTable
from jobs.source.stage import Cursor

Rows = TypeVar("Rows")
Total = TypeVar("Total")
Progress = Callable[[int], None]  # days done


class Simulation(Protocol[Rows, Total]):
    """The interface of a simulation: days of rows, and the tables that they go to."""

    @property
    def days(self) -> int:
        """The number of days."""
        ...

    @property
    def operational(self) -> Sequence[OperationalTable]:
        """The tables of the use case; missing ones are created."""
        ...

    def tables(self) -> Iterator[tuple[date, Rows]]:
        """Yield every day with its rows; only one day is in memory at a time."""
        ...

    def parts(self, rows: Rows) -> Mapping[OperationalTable, pa.Table]:
        """Return the rows of a day by table, with the columns of the table."""
        ...

    def merge(self, cursor: Cursor, rows: Rows) -> None:
        """Merge the rows of a day into their tables."""
        ...

    def nothing(self) -> Total:
        """Return the total of no days."""
        ...

    def plus(self, total: Total, rows: Rows) -> Total:
        """Return `total` plus one more day."""
        ...


def to_database(dsn: str, simulation: Simulation[Rows, Total], progress: Progress) -> Total:
    """Merge the days into the operational tables, one transaction per day.

    StoreError on failure.
    """
    total = simulation.nothing()
    for done, (_, rows) in enumerate(simulation.tables(), start=1):
        with writing(dsn, simulation.operational) as cursor:
            simulation.merge(cursor, rows)
        total = simulation.plus(total, rows)
        progress(done)
    return total


def to_files(folder: Path, simulation: Simulation[Rows, Total], progress: Progress) -> Total:
    """Write `TABLE/DAY.parquet` for every table and day, with the columns of the table."""
    total = simulation.nothing()
    for done, (day, rows) in enumerate(simulation.tables(), start=1):
        for table, part in simulation.parts(rows).items():
            _write(part, folder / table.name / f"{day}.parquet")
        total = simulation.plus(total, rows)
        progress(done)
    return total


def _write(rows: pa.Table, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    pq.write_table(rows, unfinished)
    unfinished.replace(path)
