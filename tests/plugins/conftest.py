"""Airflow's modules and ours in the process of the tests: no database, no logging set up, no file written."""

from __future__ import annotations

import importlib

import pytest

from dag_bag import airflow_environment


@pytest.fixture(scope="session")
def airflow_home(home):
    """Airflow's variables for this process and those it starts; as a library, it initialises nothing."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in airflow_environment(home).items():
            patch.setenv(name, value)
        patch.setenv("_AIRFLOW__AS_LIBRARY", "1")
        yield home


@pytest.fixture(scope="session")
def dates(airflow_home):
    return importlib.import_module("nightshift_dates")


@pytest.fixture(scope="session")
def steps(airflow_home):
    return importlib.import_module("nightshift_steps")
