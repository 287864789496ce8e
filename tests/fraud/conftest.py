"""One Spark session for the process, and one small random world of transactions and labels."""

from __future__ import annotations

import itertools

import pytest
from fraud_world import World

from jobs.core import settings
from jobs.fraud import features
from jobs.stores import spark as stores


@pytest.fixture(scope="session")
def spark(home):
    session = stores.session(settings.load())
    yield session
    session.stop()


@pytest.fixture(scope="session")
def frame(spark, tmp_path_factory):
    """Makes a Spark frame of an Arrow table, by the store's own way."""
    folder, numbers = tmp_path_factory.mktemp("frames"), itertools.count()
    return lambda table: stores.frame(spark, table, folder / f"{next(numbers)}.parquet")


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
