"""Real engines for the tests: one set of embedded services a session, an empty database a test."""

from __future__ import annotations

import itertools
import logging
import os
import shutil
import tempfile
from contextlib import closing
from functools import partial
from pathlib import Path

import hypothesis
import pytest
import redis

from jobs.core import settings
from jobs.stores import spark as spark_store
from session_services import database, started

# On a busy machine any example may be slow, which says nothing of what is tested.
hypothesis.settings.register_profile(
    "busy", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("busy")
# At exit it logs, below warnings, to a standard error that pytest has closed.
logging.getLogger("py4j").setLevel(logging.WARNING)
pytest_plugins = ["lanes", "airflow_modules", "prepared_night", "platform_under_test"]
REDIS_DATABASES = itertools.cycle(range(1, 15))  # 15 is left to the scheduler's tests


@pytest.fixture(scope="session", autouse=True)
def home():
    """The session's own NIGHTSHIFT_HOME, outside the project; no address of the shell is used."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [*os.environ]:
            if name.startswith("NIGHTSHIFT_") or name == settings.MLFLOW:
                patch.delenv(name)
        folder = Path(tempfile.mkdtemp(prefix="nightshift-"))
        patch.setenv("NIGHTSHIFT_HOME", str(folder))
        yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def services(home, nights):
    """PostgreSQL, Redis and MLflow under the session's home, their addresses in the environment.

    They have the data of the prepared nights that this run's tests need.
    """
    with started(home, purge=True) as config:
        yield config


@pytest.fixture(scope="session")
def databases(services):
    """Makes databases: `with databases(role, template) as dsn`, dropped when the context ends."""
    return partial(database, services.home)


@pytest.fixture
def source_db(services):
    """The address of a new, empty database of the role `source`, dropped after the test."""
    with database(services.home, "source") as dsn:
        yield dsn


@pytest.fixture
def serving_db(services):
    """The address of a new, empty database of the role `serving`, dropped after the test."""
    with database(services.home, "serving") as dsn:
        yield dsn


@pytest.fixture
def redis_url(services):
    """The address of an empty Redis database that no other test uses meanwhile."""
    url = f"{services.redis.rpartition('/')[0]}/{next(REDIS_DATABASES)}"
    with closing(redis.Redis.from_url(url)) as client:
        client.flushdb()
        yield url
        client.flushdb()


@pytest.fixture(scope="session")
def spark(home):
    """One Spark session for the process."""
    session = spark_store.session(settings.load())
    yield session
    session.stop()


@pytest.fixture(scope="session")
def frame(spark, tmp_path_factory):
    """Makes a Spark frame of an Arrow table, by the store's own way."""
    folder, numbers = tmp_path_factory.mktemp("frames"), itertools.count()
    return lambda table: spark_store.frame(spark, table, folder / f"{next(numbers)}.parquet")


def pytest_addoption(parser):
    parser.addoption("--reliability", metavar="PAGE", help="Write the table of kills to this page.")
