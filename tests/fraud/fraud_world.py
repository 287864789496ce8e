"""Transactions and labels as plain rows, and what is known of somebody at a moment, by loops."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from math import sqrt

import pyarrow as pa

from jobs.usecases.fraud.columns import WINDOWS
from jobs.usecases.fraud.sources import SOURCES

FIRST = date(2024, 2, 20)
DAYS = 45
LAST = FIRST + timedelta(days=DAYS - 1)
DELAYS = (0, 0, 1, 2, 3, 6, 7, 7, 8, 12)  # days from a fraud to its report


@dataclass(frozen=True)
class Transaction:
    transaction_id: str
    event_time: datetime
    customer_id: str
    merchant_id: str
    amount_minor: int
    currency: str | None = "EUR"
    country: str | None = "NL"
    device_type: str | None = None
    card_last_4: str | None = None


@dataclass(frozen=True)
class Label:
    transaction_id: str
    is_fraud: bool
    reported_at: datetime
    event_time: datetime
    customer_id: str
    merchant_id: str
    amount_minor: int


def at(day: date, *, hours: float = 0.0) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(hours=hours)


def label(made: Transaction, reported_at: datetime, is_fraud: bool = True) -> Label:
    return Label(
        made.transaction_id,
        is_fraud,
        reported_at,
        made.event_time,
        made.customer_id,
        made.merchant_id,
        made.amount_minor,
    )


@dataclass(frozen=True)
class World:
    transactions: list[Transaction]
    labels: list[Label]

    @classmethod
    def random(cls, seed: int, customers: int = 40, merchants: int = 15) -> World:
        """Whole hours for ties, odd microseconds as well, and days without some customers."""
        chance = random.Random(seed)
        made = []
        for offset in range(DAYS):
            for customer in range(customers):
                # Customer 0 is new on the last days; customer 1 was away for longer than the
                # longest window.
                if (customer == 0 and offset < DAYS - 4) or (
                    customer == 1 and 3 < offset < DAYS - 6
                ):
                    continue
                for _ in range(chance.choice((0, 0, 0, 1, 1, 3))):
                    hour = chance.choice((chance.randrange(24), 12, 23.5, 24 - 1e-6 / 3600))
                    made.append(
                        Transaction(
                            f"t{len(made):05}",
                            at(FIRST + timedelta(days=offset), hours=hour),
                            f"c{customer}",
                            f"m{chance.randrange(merchants)}",
                            chance.choice(
                                (0, 1, 500, chance.randrange(10_000), chance.randrange(10_000_000))
                            ),
                            chance.choice(("EUR", "USD")),
                            chance.choice(("NL", "BE", None)),
                            chance.choice(("mobile", "web")),
                        )
                    )
        return cls(made, cls._labels(made, chance))

    @staticmethod
    def _labels(made: list[Transaction], chance: random.Random) -> list[Label]:
        labels = []
        for one in made:
            if chance.random() < 0.25:
                moment = one.event_time + timedelta(
                    days=chance.choice(DELAYS), hours=chance.choice((0, 1, 5))
                )
                labels.append(label(one, moment, chance.random() < 0.8))
                # Weeks after the world has ended the opposite is reported.
                labels.append(label(one, moment + timedelta(days=60), not labels[-1].is_fraud))
                if chance.random() < 0.1:  # the bank changes its mind
                    later = moment + timedelta(days=chance.choice((0, 1, 4)))
                    labels.append(label(one, later, labels[-1].is_fraud))
        old = Transaction("old", at(FIRST - timedelta(days=9)), "only-labels", "only-labels", 77)
        labels += [label(old, at(FIRST + timedelta(days=offset), hours=9)) for offset in (20, 40)]
        return labels

    def tables(self) -> dict[str, pa.Table]:
        """Both sources as validate leaves them."""
        rows = {"transactions": self.transactions, "fraud_labels": self.labels}
        return {
            source.name: pa.Table.from_pylist(
                [vars(row) for row in rows[source.name]], schema=source.schema
            )
            for source in SOURCES
        }

    def on(self, days: list[date]) -> list[Transaction]:
        return [row for row in self.transactions if row.event_time.date() in set(days)]

    def poisoned(self, moment: datetime, keep: Transaction) -> World:
        """Another future: rows and labels from `moment` on change, come and go, except `keep`."""
        chance = random.Random(7)
        past = [row for row in self.transactions if row.event_time < moment or row is keep]
        future = [
            replace(
                row,
                amount_minor=9_999_999,
                merchant_id=keep.merchant_id,
                customer_id=chance.choice((keep.customer_id, row.customer_id)),
            )
            for row in self.transactions
            if row not in past and chance.random() < 0.7
        ]
        future.append(replace(keep, transaction_id="twin", amount_minor=1))
        labels = [row for row in self.labels if row.reported_at < moment]
        labels += [label(row, max(moment, row.event_time)) for row in [*past[::2], keep]]
        return World(past + future, labels)


class Known:
    """What is known of one customer or merchant just before the transaction `row`."""

    def __init__(self, world: World, entity: str, row: Transaction, delay: int) -> None:
        self.row, self.today = row, row.event_time.date()
        late = timedelta(days=delay)

        def same(other: Transaction | Label) -> bool:
            return getattr(other, entity) == getattr(row, entity)

        own = [each for each in world.transactions if same(each)]
        frauds = [each for each in world.labels if same(each) and each.is_fraud]
        self.made = self._before(own, lambda each: each.event_time)
        self.matured = self._before(own, lambda each: each.event_time + late)
        self.reported = self._before(frauds, lambda each: each.reported_at)

    def _before(self, rows: list, moment: Callable) -> list[tuple[int, object]]:
        """(whole days ago, row), of what happened strictly before."""
        return [
            ((self.today - moment(each).date()).days, each)
            for each in rows
            if moment(each) < self.row.event_time
        ]

    def window(self, n: int) -> list[int]:
        """Amounts of the N whole days and of today so far."""
        return [each.amount_minor for ago, each in self.made if ago <= n]

    @staticmethod
    def whole(rows: list, n: int) -> list[int]:
        """Amounts of the N whole days before today."""
        return [each.amount_minor for ago, each in rows if 1 <= ago <= n]

    @staticmethod
    def so_far(rows: list) -> list[int]:
        return [each.amount_minor for ago, each in rows if ago == 0]


def mean(values: list[int]) -> Fraction | None:
    return Fraction(sum(values), len(values)) if values else None


def deviation(count: int, total: int, squares: int) -> float | None:
    return (
        sqrt(max(Fraction(squares, count) - Fraction(total, count) ** 2, 0)) if count >= 2 else None
    )


def spread(values: list[int]) -> float | None:
    return deviation(len(values), sum(values), sum(value**2 for value in values))


def over(above: Fraction | float | None, below: Fraction | float | None) -> Fraction | float | None:
    return above / below if above is not None and below else None


def minus(value: int, other: Fraction | None) -> Fraction | None:
    return None if other is None else value - other


def twin(world: World, row: Transaction, delay: int) -> dict[str, object]:
    """Every feature of one transaction, by its definition, as exact as it can be said."""
    customer, merchant = (
        Known(world, "customer_id", row, delay),
        Known(world, "merchant_id", row, delay),
    )
    values: dict[str, object] = {
        "amount": row.amount_minor,
        "hour": row.event_time.hour,
        "night": int(row.event_time.hour < 7),
        "weekend": int(row.event_time.strftime("%a") in ("Sat", "Sun")),
        "currency": row.currency,
        "country": row.country,
        "device_type": row.device_type,
    }
    for n in WINDOWS:
        amounts = customer.window(n)
        values |= {
            f"customer_count_{n}": len(amounts),
            f"customer_mean_{n}": mean(amounts),
            f"customer_max_{n}": max(amounts, default=None),
            f"customer_std_{n}": spread(amounts),
            f"customer_frauds_{n}": len(customer.whole(customer.reported, n)),
        }
        frauds, matured = merchant.whole(merchant.reported, n), merchant.whole(merchant.matured, n)
        values |= {
            f"merchant_count_{n}": len(merchant.window(n)),
            f"merchant_mean_{n}": mean(merchant.window(n)),
            f"merchant_frauds_{n}": len(frauds),
            f"merchant_fraud_mean_{n}": mean(frauds),
            f"merchant_risk_{n}": Fraction(len(frauds), len(matured)) if matured else None,
        }
    return values | _customer(customer, values) | _merchant(merchant)


def _customer(known: Known, values: dict) -> dict[str, object]:
    today = known.so_far(known.made)
    earlier = [each.event_time for ago, each in known.made if ago <= 30]
    seconds = (known.row.event_time - max(earlier)).total_seconds() if earlier else None
    frauds, matured = known.whole(known.reported, 30), known.whole(known.matured, 30)
    count, total = len(matured) - len(frauds), sum(matured) - sum(frauds)
    squares = sum(value**2 for value in matured) - sum(value**2 for value in frauds)
    usual = Fraction(total, count) if count else None
    amount, average = known.row.amount_minor, values["customer_mean_30"]
    return {
        "customer_today_count": len(today),
        "customer_today_sum": sum(today),
        "customer_today_max": max(today, default=None),
        "seconds_since_previous": None if seconds is None or seconds > 30 * 86_400 else seconds,
        "amount_over_mean": over(amount, average),
        "amount_z": over(minus(amount, average), values["customer_std_30"]),
        "genuine_count": count,
        "genuine_mean": usual,
        "genuine_std": deviation(count, total, squares),
        "amount_over_genuine": over(amount, usual),
        "amount_genuine_z": over(minus(amount, usual), deviation(count, total, squares)),
        "max_over_genuine_7": over(values["customer_max_7"], usual),
        "max_over_mean_7": over(values["customer_max_7"], average),
        "mean_over_mean_7": over(values["customer_mean_7"], average),
        "std_over_mean_7": over(values["customer_std_7"], average),
        "std_over_mean_30": over(values["customer_std_30"], average),
    }


def _merchant(known: Known) -> dict[str, object]:
    frauds, matured = known.so_far(known.reported), known.so_far(known.matured)
    balance = {
        ago: sum(each == ago for each, _ in known.matured)
        - sum(each == ago for each, _ in known.reported)
        for ago in range(1, 31)
    }
    genuine = min((ago for ago, more in balance.items() if more > 0), default=None)
    if len(matured) > len(frauds):
        genuine = 0
    since = 31 if genuine is None else genuine
    run = [ago for ago, _ in known.reported if 1 <= ago < since]
    return {
        "merchant_today_frauds": len(frauds),
        "merchant_today_matured": len(matured),
        "merchant_days_since_genuine": genuine,
        "merchant_fraud_streak": len(frauds) + len(run),
        "merchant_fraud_streak_days": max(run, default=None),
    }
