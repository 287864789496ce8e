"""The population: customers with habits, and merchants on a square of 100 by 100."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.spatial import cKDTree

from jobs.source.streams import Floats, Integers, generator, numbered

SIDE = 100.0
RADIUS = 5.0
AT_LEAST = 5  # merchants per customer at any distance, so that everybody can pay somewhere
AT_MOST = 128  # nearest merchants, which bounds memory; the Handbook has 78 within the radius

# Countries are stripes of the square from west to east: name, currency, share of the width.
COUNTRIES = (
    ("FR", "EUR", 0.25),
    ("CH", "CHF", 0.10),
    ("DE", "EUR", 0.30),
    ("PL", "PLN", 0.15),
    ("SE", "SEK", 0.20),
)


class FraudStream(IntEnum):
    """The purposes of random numbers.

    Their values determine every simulated row, never change, and occur in no other use case.
    """

    CUSTOMERS = 0
    MERCHANTS = 1
    TRANSACTIONS = 2
    COMPROMISED_MERCHANTS = 3
    COMPROMISED_CUSTOMERS = 4
    STOLEN = 5
    REPORTS = 6


@dataclass(frozen=True)
class Population:
    """Customers and merchants by position; amounts in the customer's currency, rates per day.

    `nearby` has a row per customer: its merchants from near to far, of which it uses the first
    `choices`. `amount` is the mean amount; its standard deviation is half of it.
    """

    seed: int
    amount: Floats
    rate: Floats
    nearby: npt.NDArray[np.int32]
    choices: Integers
    customer_id: pa.Array
    currency: pa.Array
    card_last_4: pa.Array
    merchant_id: pa.Array
    country: pa.Array

    @property
    def customers(self) -> int:
        return len(self.amount)

    @property
    def merchants(self) -> int:
        return len(self.merchant_id)


def populate(seed: int, customers: int, merchants: int) -> Population:
    """Return the population of `seed`; in a larger population, the first ones are the same."""
    habits = generator(seed, FraudStream.CUSTOMERS).random((customers, 5))
    homes, places = (
        habits[:, :2] * SIDE,
        generator(seed, FraudStream.MERCHANTS).random((merchants, 2)) * SIDE,
    )
    nearby, choices = _nearby(homes, places)
    return Population(
        seed=seed,
        amount=5 + 95 * habits[:, 2],
        rate=4 * habits[:, 3],
        nearby=nearby,
        choices=choices,
        customer_id=numbered("C", np.arange(customers), 7),
        currency=_by_country(homes[:, 0], 1),
        card_last_4=numbered("", (habits[:, 4] * 10_000).astype(np.int64), 4),
        merchant_id=numbered("M", np.arange(merchants), 7),
        country=_by_country(places[:, 0], 0),
    )


def _nearby(homes: Floats, places: Floats) -> tuple[npt.NDArray[np.int32], Integers]:
    tree = cKDTree(places)
    width = min(AT_MOST, len(places))
    nearby = np.empty((len(homes), width), dtype=np.int32)
    choices = np.empty(len(homes), dtype=np.int64)
    for chunk in np.array_split(np.arange(len(homes)), len(homes) // 10_000 + 1):
        distance, index = tree.query(homes[chunk], k=list(range(1, width + 1)), workers=-1)
        nearby[chunk] = index
        choices[chunk] = np.maximum((distance <= RADIUS).sum(axis=1), min(AT_LEAST, width))
    return nearby, choices


def _by_country(x: Floats, part: int) -> pa.Array:
    borders = np.cumsum([share for _, _, share in COUNTRIES]) * SIDE
    stripe = np.minimum(np.searchsorted(borders, x, side="right"), len(COUNTRIES) - 1)
    return pa.array([country[part] for country in COUNTRIES]).take(pa.array(stripe))
