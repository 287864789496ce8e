"""What was killed, as the page of reliability."""

from __future__ import annotations

import pytest
import reliability

from jobs.core.settings import PROJECT

KILLS = pytest.StashKey()


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
