"""One prepared night for all tests that need one, and a copy of it, at any of its moments, for each."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta

import pytest

from jobs.source.simulate.day import Reporting
from jobs.source.simulate.write import Simulation, to_database
from jobs.steps.frame import NIGHTLY
from nights import BEFORE, FIRST, Place, database_of, keep, resume

SIMULATION = Simulation(FIRST, days=18, customers=200, merchants=300, seed=1, reporting=Reporting(2, 0))


@pytest.fixture(scope="session")
def upstream(databases):
    """The operational database of 18 simulated days, shared: who changes it makes a copy."""
    with databases("source") as dsn:
        to_database(dsn, SIMULATION, lambda done: None)
        yield dsn


@pytest.fixture(scope="session")
def night(services, databases, upstream, tmp_path_factory):
    """The night of DAY: what was there before each step of it, by the step's name, and at its `end`.

    The days before are ingested; two days before it a model was trained, promoted and published, the day
    before was published with that one.
    """
    with ExitStack() as stack:
        # Redis 0 is that of the services, which no test uses.
        serving = stack.enter_context(databases("serving"))
        place = Place(tmp_path_factory.mktemp("night"), upstream, serving, services.redis)
        place.set_params()
        place.ingest(FIRST, BEFORE)
        for step in NIGHTLY[3:]:
            place.run(step, BEFORE - timedelta(days=1))
        for step in ("predict", "publish", "verify"):
            place.run(step, BEFORE)
        moments = {}
        for step in (*NIGHTLY, "end"):
            kept = stack.enter_context(databases("serving", database_of(serving)))
            moments[step] = keep(place, tmp_path_factory.mktemp(f"before_{step}"), kept)
            if step != "end":
                place.run(step)
        yield moments


@pytest.fixture
def at(night, databases, redis_url, tmp_path):
    """Resumes the night at a moment: `at("gate")` is an installation where everything before gate is done.

    `own_source` gives it an operational database of its own, to change. A second call ends the first one's Redis.
    """
    with ExitStack() as stack:

        def make(moment, own_source=False):
            found = night[moment]
            serving = stack.enter_context(databases("serving", database_of(found.postgres)))
            home = tmp_path / f"home{len(list(tmp_path.iterdir()))}"
            place = resume(found, home, serving, redis_url)
            if own_source:
                source = stack.enter_context(databases("source", database_of(found.source)))
                place = replace(place, source=source)
            return place

        yield make
