"""Simulated days to where they are wanted: the operational tables, or parquet files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Protocol, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from psycopg2.extensions import cursor as Cursor

from jobs.source.database import writing
from jobs.source.labels import merge_labels
from jobs.source.schema import FRAUD_LABELS, TRANSACTIONS, Column, Table
from jobs.source.simulate.day import Reporting, frauds, simulate_day
from jobs.source.simulate.population import populate
from jobs.source.stage import Stage

Rows = TypeVar("Rows")
Total = TypeVar("Total")
Progress = Callable[[int], None]  # days done


class Simulates(Protocol[Rows, Total]):
    """Days of rows, whatever they are, and where each of them goes."""

    def tables(self) -> Iterator[tuple[date, Rows]]:
        """Each day with its rows; one day is held at a time."""
        ...

    def parts(self, rows: Rows) -> Mapping[Table, pa.Table]:
        """The rows of a day by the table that they belong to, with its columns."""
        ...

    def merge(self, cursor: Cursor, rows: Rows) -> None:
        """Merge the rows of a day into their tables."""
        ...

    def nothing(self) -> Total:
        """The total of no days."""
        ...

    def plus(self, total: Total, rows: Rows) -> Total:
        """`total` and a day more."""
        ...


_COLUMNS = (*TRANSACTIONS.columns, Column("is_fraud", "flag"), Column("reported_at", "time"))


@dataclass(frozen=True)
class Simulated:
    """How many rows were simulated, and how many of them are fraud."""

    transactions: int = 0
    frauds: int = 0


@dataclass(frozen=True)
class Simulation:
    """Transactions to simulate: `days` days from `start` on, of the population of `seed`. See Simulates."""

    start: date
    days: int
    customers: int
    merchants: int
    seed: int = 0
    reporting: Reporting = field(default_factory=Reporting)

    def tables(self) -> Iterator[tuple[date, pa.Table]]:
        population = populate(self.seed, self.customers, self.merchants)
        for day in (self.start + timedelta(days=number) for number in range(self.days)):
            yield day, simulate_day(population, day, self.reporting)

    def parts(self, rows: pa.Table) -> Mapping[Table, pa.Table]:
        return {TRANSACTIONS: rows.select(TRANSACTIONS.names), FRAUD_LABELS: frauds(rows)}

    def merge(self, cursor: Cursor, rows: pa.Table) -> None:
        stage = Stage(cursor, _COLUMNS)
        stage.copy(rows)
        stage.upsert(TRANSACTIONS, rows.column_names)
        merge_labels(stage, genuine=False)

    def nothing(self) -> Simulated:
        return Simulated()

    def plus(self, total: Simulated, rows: pa.Table) -> Simulated:
        stolen = pc.sum(rows["is_fraud"]).as_py() or 0
        return Simulated(total.transactions + len(rows), total.frauds + stolen)


def to_database(dsn: str, simulation: Simulates[Rows, Total], progress: Progress) -> Total:
    """Merge the days into the operational tables, one transaction a day. Raises StoreError when they fail."""
    total = simulation.nothing()
    for done, (_, rows) in enumerate(simulation.tables(), start=1):
        with writing(dsn) as cursor:
            simulation.merge(cursor, rows)
        total = simulation.plus(total, rows)
        progress(done)
    return total


def to_files(folder: Path, simulation: Simulates[Rows, Total], progress: Progress) -> Total:
    """Write `TABLE/DAY.parquet` for every table and day, with the columns of that table."""
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
