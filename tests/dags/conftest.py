"""The DAGs, parsed once for all tests of this folder."""

from __future__ import annotations

import pytest

import dag_bag


@pytest.fixture(scope="session")
def bag():
    """What tests/dags/parse.py says of dags/ and plugins/."""
    return dag_bag.parse()


@pytest.fixture
def nightly(bag):
    """The facts of each nightly DAG by its id."""
    dags = {name: dag for name, dag in bag["dags"].items() if "nightly" in dag["tags"]}
    assert dags
    return dags


@pytest.fixture
def housekeeping(bag):
    """The facts of the DAG of housekeeping."""
    return bag["dags"]["housekeeping"]


@pytest.fixture
def tasks(bag):
    """The facts of each task by `<dag>.<task>`."""
    return {
        f"{name}.{task}": facts
        for name, dag in bag["dags"].items()
        for task, facts in dag["tasks"].items()
    }
