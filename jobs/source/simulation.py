"""Write simulated days to the operational tables or to parquet files."""

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
from jobs.source.schema import FRAUD_LABELS, TRANSACTIONS, Column, Table
from jobs.source.stage import Stage
from jobs.usecases.fraud.operational.day import Reporting, frauds, simulate_day
from jobs.usecases.fraud.operational.labels import merge_labels
from jobs.usecases.fraud.operational.population import populate

Rows = TypeVar("Rows")
Total = TypeVar("Total")
Progress = Callable[[int], None]  # days done


class Simulates(Protocol[Rows, Total]):
    """The interface of a simulation: days of rows, and the tables that they go to."""

    def tables(self) -> Iterator[tuple[date, Rows]]:
        """Yield every day with its rows; only one day is in memory at a time."""
        ...

    def parts(self, rows: Rows) -> Mapping[Table, pa.Table]:
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


_COLUMNS = (*TRANSACTIONS.columns, Column("is_fraud", "flag"), Column("reported_at", "time"))


@dataclass(frozen=True)
class Simulated:
    """The numbers of simulated rows and of frauds among them."""

    transactions: int = 0
    frauds: int = 0


@dataclass(frozen=True)
class Simulation:
    """Transactions to simulate: `days` days from `start` on, of the population of `seed`."""

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
    """Merge the days into the operational tables, one transaction per day.

    StoreError on failure.
    """
    total = simulation.nothing()
    for done, (_, rows) in enumerate(simulation.tables(), start=1):
        with writing(dsn) as cursor:
            simulation.merge(cursor, rows)
        total = simulation.plus(total, rows)
        progress(done)
    return total


def to_files(folder: Path, simulation: Simulates[Rows, Total], progress: Progress) -> Total:
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
