"""One prepared night per pipeline, shared by tests; each test gets a copy of one of its moments."""

from __future__ import annotations

import multiprocessing
import os
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from jobs.core.pipelines import PIPELINES
from jobs.core.steps import NIGHTLY
from jobs.source.simulation import to_database
from jobs.usecases.fraud.operational.day import Reporting
from jobs.usecases.fraud.operational.simulation import FraudSimulation
from jobs.usecases.movies.operational.simulation import MovieSimulation
from night_image import Image, shared_folder
from nights import BEFORE, DEFAULTS, FIRST, FIRST_MOVIES, Place, database_of, keep, resume
from session_services import create_database, started

# For tests that hold for every pipeline. All but fraud are slow: a prepared night takes a minute.
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
        _simulate(dsn)
        yield dsn


@pytest.fixture(scope="session")
def nights(home, request, tmp_path_factory):
    """Moments by pipeline and step of the nights of DAY that the tests of this run need.

    A moment is the state before the step, or at the `end`. The days before are ingested. Two days
    before, a model was trained, promoted and published; the day before was published with that
    model. The services of `home` start with the data of these nights.
    """
    pipelines = {name for item in request.session.items for name in pipelines_of(item)}
    if not pipelines:
        return {}
    image = Image(shared_folder(tmp_path_factory) / "nights")
    image.require(partial(_make, sorted(pipelines)))
    return image.restore(home, tmp_path_factory.mktemp("nights") / "moments")


@pytest.fixture(scope="session")
def prepared(nights, services):
    """`prepared(pipeline)`: its night of DAY, as `nights` says."""
    return nights.__getitem__


@pytest.fixture(scope="session")
def night(prepared):
    """The night of fraud."""
    return prepared("fraud")


@pytest.hookimpl(trylast=True)  # when `-m` has selected
def pytest_collection_modifyitems(items):
    """While one process makes the nights, the others run what needs no services."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return
    serviced = {item.path for item in items if "services" in getattr(item, "fixturenames", ())}
    maker = next((item.path for item in items if pipelines_of(item)), None)
    items.sort(key=lambda item: (item.path != maker, item.path in serviced))


@pytest.fixture
def pipeline(request):
    """Fraud, where a test is not parametrised with others: see EACH."""
    return getattr(request, "param", "fraud")


def pipelines_of(item):
    """Pipelines of the prepared nights that the test needs: of its marker `nights`, or its own."""
    if "prepared" not in getattr(item, "fixturenames", ()):
        return ()
    if marker := item.get_closest_marker("nights"):
        return marker.args
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    return (parameters.get("pipeline", "fraud"),)


def _make(pipelines, image):
    """Make the nights of the pipelines in the image.

    In a process of its own: MLflow's client remembers of every run at which server it was.
    """
    process = multiprocessing.get_context("spawn").Process(target=_fill, args=(pipelines, image))
    process.start()
    process.join()
    assert process.exitcode == 0, "The prepared nights failed; their output is above"


def _fill(pipelines, image):
    with started(image.home, purge=False) as config:
        source = create_database(image.home, "source")
        _simulate(source)
        nights = {name: _night(image, config, source, name) for name in pipelines}
    image.take_data()
    image.write(nights)


def _simulate(source):
    for simulation in (SIMULATION, MOVIES):
        to_database(source, simulation, lambda done: None)


def _night(image, config, source, pipeline):
    serving = create_database(image.home, "serving")
    home = image.folder / f"living-{pipeline}"
    home.mkdir()
    place = Place(home, source, serving, config.redis, pipeline)
    live_until_the_day(place)
    moments = {}
    for step in (*NIGHTLY, "end"):
        kept = create_database(image.home, "serving", database_of(serving))
        moments[step] = keep(place, image.moments / f"{pipeline}-{step}", kept)
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
