"""One small random world of transactions and labels."""

from __future__ import annotations

import pytest
from fraud_world import World

from jobs.usecases.fraud import features


@pytest.fixture(scope="session")
def aggregated(frame):
    """Makes the daily aggregates of a world, as Arrow tables."""

    def make(world):
        rows = {name: frame(table) for name, table in world.tables().items()}
        return {name: daily.toArrow() for name, daily in features.aggregate(rows).items()}

    return make


@pytest.fixture(scope="session")
def world():
    return World.random(seed=1)


@pytest.fixture(scope="session")
def daily(world, aggregated):
    return aggregated(world)
