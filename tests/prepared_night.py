"""One prepared night per pipeline, shared by tests; each test gets a copy of one of its moments."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from functools import cache, partial

import pytest

from jobs.core.pipelines import PIPELINES
from jobs.core.steps import NIGHTLY
from jobs.source.simulation import to_database
from jobs.usecases.fraud.operational.day import Reporting
from jobs.usecases.fraud.operational.simulation import FraudSimulation
from jobs.usecases.movies.operational.simulation import MovieSimulation
from nights import BEFORE, DEFAULTS, FIRST, FIRST_MOVIES, Place, database_of, keep, resume

# For tests that hold for every pipeline. All but fraud are slow: each process that needs a prepared
# night of another pipeline makes it for a minute.
_REST = [pytest.param(name, marks=pytest.mark.slow) for name in PIPELINES if name != "fraud"]
EACH = pytest.mark.parametrize("pipeline", ["fraud", *_REST], indirect=True)
MOVIES = MovieSimulation(FIRST_MOVIES, days=9, users=120, movies=80, seed=1)
SIMULATION = FraudSimulation(
    FIRST, days=18, customers=200, merchants=300, seed=1, reporting=Reporting(2, 0)
)


@pytest.fixture(scope="session")
def upstream(databases):
    """The operational database of the simulated days, shared: who changes it makes a copy."""
    with databases("source") as dsn:
        for simulation in (SIMULATION, MOVIES):
            to_database(dsn, simulation, lambda done: None)
        yield dsn


@pytest.fixture(scope="session")
def prepared(services, databases, upstream, tmp_path_factory):
    """`prepared(pipeline)`: its night of DAY, created on first use.

    It keeps the state before each step, by the step's name, and at the `end`. The days before are
    ingested. Two days before, a model was trained, promoted and published; the day before was
    published with that model.
    """
    with ExitStack() as stack:
        yield cache(partial(_night, stack, services, databases, upstream, tmp_path_factory))


@pytest.fixture(scope="session")
def night(prepared):
    """The night of fraud."""
    return prepared("fraud")


@pytest.fixture
def pipeline(request):
    """Fraud, where a test is not parametrised with others: see EACH."""
    return getattr(request, "param", "fraud")


def _night(stack, services, databases, upstream, tmp_path_factory, pipeline):
    # Redis 0 is that of the services, which no test uses.
    serving = stack.enter_context(databases("serving"))
    place = Place(tmp_path_factory.mktemp("night"), upstream, serving, services.redis, pipeline)
    live_until_the_day(place)
    moments = {}
    for step in (*NIGHTLY, "end"):
        kept = stack.enter_context(databases("serving", database_of(serving)))
        moments[step] = keep(place, tmp_path_factory.mktemp(f"before_{step}"), kept)
        if step != "end":
            place.run(step)
    return moments


def live_until_the_day(place):
    """The days before DAY, as `prepared` says."""
    place.set_params()
    place.ingest(DEFAULTS[place.pipeline]["first_date"], BEFORE)
    for step in NIGHTLY[3:]:
        place.run(step, BEFORE - timedelta(days=1))
    for step in ("predict", "publish", "verify"):
        place.run(step, BEFORE)


@pytest.fixture
def at(prepared, pipeline, databases, redis_url, tmp_path):
    """Resumes the night: `at("gate")` is an installation in which everything before gate is done.

    `own_source` gives it an operational database of its own, to change. A second call ends the
    Redis of the first.
    """
    with ExitStack() as stack:

        def make(moment, own_source=False):
            installation = prepared(pipeline)[moment]
            serving = stack.enter_context(databases("serving", database_of(installation.postgres)))
            home = tmp_path / f"home{len(list(tmp_path.iterdir()))}"
            place = resume(installation, home, serving, redis_url)
            if own_source:
                source = stack.enter_context(databases("source", database_of(installation.source)))
                place = replace(place, source=source)
            return place

        yield make
