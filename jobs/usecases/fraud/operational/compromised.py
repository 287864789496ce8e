"""Compromised merchants and customers: the Handbook's scenarios, in proportion to the population.

The Handbook compromises 2 of 10,000 terminals a day for 28 days, and 3 of 5,000 customers a day for
14 days.
"""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np

from jobs.source.streams import Integers, generator
from jobs.usecases.fraud.operational.population import FraudStream, Population

MERCHANTS_A_DAY, MERCHANT_DAYS = 2 / 10_000, 28
CUSTOMERS_A_DAY, CUSTOMER_DAYS = 3 / 5_000, 14
STOLEN_SHARE = 1 / 3  # of a compromised customer's transactions are the thief's
STOLEN_FACTOR = 5
OBVIOUS_CENTS = (
    220_00  # a genuine amount above this is fraud: the scenario of the Handbook that checks a model
)


def compromised_merchants(population: Population, day: date) -> Integers:
    """Return the positions of merchants with only fraudulent transactions on `day`."""
    stream = FraudStream.COMPROMISED_MERCHANTS
    return _compromised(
        population.seed, stream, population.merchants, MERCHANTS_A_DAY, MERCHANT_DAYS, day
    )


def compromised_customers(population: Population, day: date) -> Integers:
    """Return the positions of customers with a stolen card on `day`."""
    stream = FraudStream.COMPROMISED_CUSTOMERS
    return _compromised(
        population.seed, stream, population.customers, CUSTOMERS_A_DAY, CUSTOMER_DAYS, day
    )


def _compromised(
    seed: int, stream: FraudStream, population: int, share: float, lasting: int, day: date
) -> Integers:
    """Return those compromised on `day` or less than `lasting` days before, simulated or not."""
    begun = []
    for start in (day - timedelta(days=ago) for ago in range(lasting)):
        # Whole numbers with the right rate over time: a small population has one every few days.
        count = int((start.toordinal() + 1) * share * population) - int(
            start.toordinal() * share * population
        )
        begun.append(
            generator(seed, stream, start).choice(population, min(count, population), replace=False)
        )
    return np.unique(np.concatenate(begun))
