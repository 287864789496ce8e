"""Simulate days of transactions and their labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from jobs.core.identity import days
from jobs.source.schema import OperationalTable
from jobs.source.stage import Cursor, Stage
from jobs.usecases.fraud.operational.day import Reporting, frauds, simulate_day
from jobs.usecases.fraud.operational.labels import IS_FRAUD, REPORTED_AT, merge_labels
from jobs.usecases.fraud.operational.population import populate
from jobs.usecases.fraud.operational.tables import FRAUD_LABELS, TABLES, TRANSACTIONS


@dataclass(frozen=True)
class FraudCounts:
    """The numbers of simulated rows and of frauds among them."""

    transactions: int = 0
    frauds: int = 0


@dataclass(frozen=True)
class FraudSimulation:
    """Transactions to simulate: `days` days from `start` on, of the population of `seed`."""

    start: date
    days: int
    customers: int
    merchants: int
    seed: int = 0
    reporting: Reporting = field(default_factory=Reporting)

    @property
    def operational(self) -> tuple[OperationalTable, ...]:
        return TABLES

    def tables(self) -> Iterator[tuple[date, pa.Table]]:
        population = populate(self.seed, self.customers, self.merchants)
        for day in days(self.start, self.start + timedelta(days=self.days - 1)):
            yield day, simulate_day(population, day, self.reporting)

    def parts(self, rows: pa.Table) -> Mapping[OperationalTable, pa.Table]:
        return {TRANSACTIONS: rows.select(TRANSACTIONS.names), FRAUD_LABELS: frauds(rows)}

    def merge(self, cursor: Cursor, rows: pa.Table) -> None:
        stage = Stage(cursor, (*TRANSACTIONS.columns, IS_FRAUD, REPORTED_AT))
        stage.copy(rows)
        stage.merge(TRANSACTIONS, rows.column_names)
        merge_labels(stage, genuine=False)

    def nothing(self) -> FraudCounts:
        return FraudCounts()

    def plus(self, total: FraudCounts, rows: pa.Table) -> FraudCounts:
        stolen = pc.sum(rows["is_fraud"]).as_py() or 0
        return FraudCounts(total.transactions + len(rows), total.frauds + stolen)
