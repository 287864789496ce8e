"""One day of transactions and their labels, as a pure function of the population and the date."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jobs.source.streams import Integers, generator, numbered
from jobs.source.times import TIME
from jobs.usecases.fraud.operational.compromised import (
    OBVIOUS_CENTS,
    STOLEN_FACTOR,
    STOLEN_SHARE,
    compromised_customers,
    compromised_merchants,
)
from jobs.usecases.fraud.operational.population import FraudStream, Population

_DAY = 86_400
_MICRO = 1_000_000
_DEVICES = (("pos", 0.60), ("mobile", 0.25), ("web", 0.15))


@dataclass(frozen=True)
class Reporting:
    """When frauds are reported: `delay_days` after they happened, or up to `jitter_days` later."""

    delay_days: float = 7.0
    jitter_days: float = 0.0


@dataclass(frozen=True)
class _Payments:
    """The payments of a day in order of time, with the positions of customer and merchant."""

    second: Integers
    customer: Integers
    merchant: Integers
    cents: Integers
    device: Integers

    def __len__(self) -> int:
        return len(self.second)


def simulate_day(population: Population, day: date, reporting: Reporting) -> pa.Table:
    """Return the transactions of one UTC day with `is_fraud` and `reported_at`, sorted by time.

    They depend only on the arguments; ids are `YYYYMMDD-NNNNNNN`.
    """
    payments = _payments(population, day)
    cents, fraud = _frauds(population, payments, day)
    midnight = (day.toordinal() - date(1970, 1, 1).toordinal()) * _DAY
    event = (midnight + payments.second) * _MICRO
    customer, merchant = pa.array(payments.customer), pa.array(payments.merchant)
    return pa.table(
        {
            "transaction_id": numbered(f"{day:%Y%m%d}-", np.arange(len(payments)), 7),
            "event_time": pa.array(event, TIME),
            "customer_id": population.customer_id.take(customer),
            "merchant_id": population.merchant_id.take(merchant),
            "amount": pa.array(cents / 100).cast(pa.decimal128(14, 2)),
            "currency": population.currency.take(customer),
            "country": population.country.take(merchant),
            "device_type": pa.array([name for name, _ in _DEVICES]).take(pa.array(payments.device)),
            "card_last_4": population.card_last_4.take(customer),
            "is_fraud": pa.array(fraud),
            "reported_at": pa.array(
                event + _report_delay(population.seed, day, reporting, len(payments)), TIME
            ),
        }
    )


def frauds(rows: pa.Table) -> pa.Table:
    """Return the rows of `fraud_labels` for simulated rows: one per fraud."""
    return rows.filter(rows["is_fraud"]).select(["transaction_id", "is_fraud", "reported_at"])


def _payments(population: Population, day: date) -> _Payments:
    """Draw payments: Poisson counts, normal times around noon, normal amounts.

    Payments outside the day are left out.
    """
    random = generator(population.seed, FraudStream.TRANSACTIONS, day)
    customer = np.repeat(np.arange(population.customers), random.poisson(population.rate))
    count = len(customer)
    second = np.floor(random.normal(_DAY / 2, 20_000, count)).astype(np.int64)
    mean = population.amount[customer]
    amount = random.normal(mean, mean / 2)
    amount = np.where(amount < 0, random.uniform(0, 2 * mean), amount)
    choice = (random.random(count) * population.choices[customer]).astype(np.int64)
    device = np.searchsorted(
        np.cumsum([share for _, share in _DEVICES])[:-1], random.random(count), side="right"
    )
    inside = np.flatnonzero((second >= 0) & (second < _DAY))
    order = inside[np.argsort(second[inside], kind="stable")]
    return _Payments(
        second=second[order],
        customer=customer[order],
        merchant=population.nearby[customer, choice][order].astype(np.int64),
        cents=np.maximum(np.rint(amount[order] * 100).astype(np.int64), 1),
        device=device[order],
    )


def _frauds(
    population: Population, payments: _Payments, day: date
) -> tuple[Integers, npt.NDArray[np.bool_]]:
    """Return the amounts after fraud, and which payments are fraud."""
    random = generator(population.seed, FraudStream.STOLEN, day)
    stolen = np.isin(payments.customer, compromised_customers(population, day))
    stolen &= random.random(len(payments)) < STOLEN_SHARE
    skimmed = np.isin(payments.merchant, compromised_merchants(population, day))
    cents = np.where(stolen, payments.cents * STOLEN_FACTOR, payments.cents)
    return cents, (payments.cents > OBVIOUS_CENTS) | skimmed | stolen


def _report_delay(seed: int, day: date, reporting: Reporting, count: int) -> Integers:
    """Return the microseconds between every payment and its report."""
    jitter = generator(seed, FraudStream.REPORTS, day).random(count) * reporting.jitter_days
    delay: Integers = np.rint((reporting.delay_days + jitter) * _DAY * _MICRO).astype(np.int64)
    return delay
