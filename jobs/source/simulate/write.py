"""Simulated days to where they are wanted: the operational tables, or parquet files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from jobs.source.database import writing
from jobs.source.labels import merge_labels
from jobs.source.schema import FRAUD_LABELS, TRANSACTIONS, Column
from jobs.source.simulate.day import Reporting, frauds, simulate_day
from jobs.source.simulate.population import populate
from jobs.source.stage import Stage

_COLUMNS = (*TRANSACTIONS.columns, Column("is_fraud", "flag"), Column("reported_at", "time"))


@dataclass(frozen=True)
class Simulation:
    """What to simulate: `days` days from `start` on, of the population of `seed`."""

    start: date
    days: int
    customers: int
    merchants: int
    seed: int = 0
    reporting: Reporting = field(default_factory=Reporting)

    def tables(self) -> Iterator[tuple[date, pa.Table]]:
        """Each day with its rows, see simulate_day; one day is held at a time."""
        population = populate(self.seed, self.customers, self.merchants)
        for day in (self.start + timedelta(days=number) for number in range(self.days)):
            yield day, simulate_day(population, day, self.reporting)


@dataclass(frozen=True)
class Simulated:
    """How many rows were simulated, and how many of them are fraud."""

    transactions: int = 0
    frauds: int = 0

    def plus(self, rows: pa.Table) -> Simulated:
        return Simulated(self.transactions + len(rows), self.frauds + (pc.sum(rows["is_fraud"]).as_py() or 0))


Progress = Callable[[int], None]  # days done


def to_database(dsn: str, simulation: Simulation, progress: Progress) -> Simulated:
    """Merge the days into the operational tables, one transaction a day. Raises StoreError when they fail."""
    total = Simulated()
    for done, (_, rows) in enumerate(simulation.tables(), start=1):
        with writing(dsn) as cursor:
            stage = Stage(cursor, _COLUMNS)
            stage.copy(rows)
            stage.upsert(TRANSACTIONS)
            merge_labels(stage, genuine=False)
        total = total.plus(rows)
        progress(done)
    return total


def to_files(folder: Path, simulation: Simulation, progress: Progress) -> Simulated:
    """Write `transactions/DAY.parquet` and `fraud_labels/DAY.parquet`, with the columns of those tables."""
    total = Simulated()
    for done, (day, rows) in enumerate(simulation.tables(), start=1):
        _write(rows.select(TRANSACTIONS.names), folder / TRANSACTIONS.name / f"{day}.parquet")
        _write(frauds(rows), folder / FRAUD_LABELS.name / f"{day}.parquet")
        total = total.plus(rows)
        progress(done)
    return total


def _write(rows: pa.Table, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    pq.write_table(rows, unfinished)
    unfinished.replace(path)
