"""Lanes: tests are marked from fixtures and folders; unit tests start nothing; seconds by folder.

A test is `unit` unless it uses one of the fixtures of STARTERS or has one of the markers of OTHERS.
A unit test that starts a process, or loads chDB into its own, fails: name the fixture that does so
in STARTERS, or mark the test `process`. Of the others, those in a folder of INTERFACES are
`interface`.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path

import pytest

# Fixtures that start services, engines or other processes.
STARTERS = frozenset(
    {
        "services",  # PostgreSQL, Redis and MLflow
        "spark",
        "clickhouse_dsn",  # chDB in this process, and a server over it
        "serve",
        "bag",  # Airflow parses the DAGs
        "component_environment",  # of a process of Airflow
        "cluster",  # containers are processes
        "generate",  # secrets.sh
    }
)
LATER = ("slow", "drift", "chaos", "kubernetes", "browser")
OTHERS = ("process", *LATER)
# Folders of tests of what people and machines reach stores and steps by.
INTERFACES = frozenset(
    {"bench", "cli", "dags", "docker", "docs", "local", "migrations", "plugins", "pods"}
)
STARTS = frozenset(
    {"subprocess.Popen", "os.posix_spawn", "os.fork", "os.forkpty", "os.exec", "os.system"}
)
ENGINES = frozenset({"chdb"})
# The standard library's `platform` starts these, once per process, whichever test asks first.
HARMLESS = frozenset({"file", "uname"})


class Guard:
    """An audit hook, which cannot be removed: it refuses only while `active`."""

    active = False

    def __call__(self, event, arguments):
        if self.active and (started := _started(event, arguments)):
            pytest.fail(f"A unit test starts {started}; tests/lanes.py says how to mark it")


def _started(event, arguments):
    """What the audit event starts; empty where it starts nothing."""
    if event == "import":
        return arguments[0] if arguments[0] in ENGINES else ""
    if event not in STARTS:
        return ""
    program = os.fsdecode(arguments[0]) if event == "subprocess.Popen" else event
    return "" if Path(program).name in HARMLESS else program


GUARD = Guard()
sys.addaudithook(GUARD)


@pytest.hookimpl(tryfirst=True)  # before `-m` selects
def pytest_collection_modifyitems(items):
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        if STARTERS.isdisjoint(fixtures) and not any(map(item.get_closest_marker, OTHERS)):
            item.add_marker("unit")
        elif item.path.parent.name in INTERFACES and not any(map(item.get_closest_marker, LATER)):
            item.add_marker("interface")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    return (yield from _guarded(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    return (yield from _guarded(item))


def _guarded(item):
    """Not while tests are torn down: the fixtures that end then may be those of other tests."""
    GUARD.active = item.get_closest_marker("unit") is not None
    try:
        return (yield)
    finally:
        GUARD.active = False


def pytest_terminal_summary(terminalreporter, config):
    """With `--durations`, the seconds of each folder: setup, call and teardown together."""
    if config.option.durations is None:
        return
    seconds = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                seconds[str(Path(report.nodeid.partition("::")[0]).parent)] += report.duration
    terminalreporter.section("seconds by folder")
    for folder, spent in seconds.most_common():
        terminalreporter.write_line(f"{spent:8.1f}  {folder}")
