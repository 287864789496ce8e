"""A real scheduler over a copy of the prepared night."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
import reliability
from platform_under_test import running

from jobs.core.settings import PROJECT
from nights import database_of, resume

KILLS = pytest.StashKey()


@pytest.fixture(scope="module")
def scheduled(night, services, databases, tmp_path_factory):
    """Airflow over a copy of the installation at a moment: `with scheduled("extract") as platform`.

    `prepare` is called with the copy and gives more for the environment of Airflow's processes.
    """

    @contextmanager
    def make(moment, prepare=lambda place: {}):
        kept = night[moment]
        with databases("serving", database_of(kept.postgres)) as serving, databases("airflow") as metadata:
            home = tmp_path_factory.mktemp("scheduled") / "home"
            place = resume(kept, home, serving, services.redis.rpartition("/")[0] + "/15")
            with running(place, metadata, prepare(place)) as platform:
                yield platform

    return make


class Kills:
    """What was killed in one test, to become rows of the table once the test has passed."""

    def __init__(self):
        self.rows = []

    def add(self, step, what, how):
        self.rows.append((step, what, how))


@pytest.fixture
def kills():
    """`kills.add(step, what was killed, how the night went on)`."""
    return Kills()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if call.when == "call" and "kills" in item.fixturenames:
        rows = item.funcargs["kills"].rows
        item.config.stash.setdefault(KILLS, []).extend((*row, report.outcome) for row in rows)
    return report


def pytest_sessionfinish(session):
    page = session.config.getoption("--reliability")
    if page and (rows := session.config.stash.get(KILLS, [])):
        (PROJECT / page).write_text(reliability.page(rows))
