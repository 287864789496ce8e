"""Airflow's modules and ours inside the test process.

They open no database, set up no logging and write no file.
"""

from __future__ import annotations

import importlib
import os

import pytest

from dag_bag import airflow_environment
from jobs.core.settings import PROJECT

AS_LIBRARY = "_AIRFLOW__AS_LIBRARY"  # with it `import airflow` initialises nothing


@pytest.fixture
def airflow_variables(home, monkeypatch):
    """What airflow.cfg takes from the environment, for the time of a test."""
    for name, value in airflow_environment(home).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(AS_LIBRARY, "1")


@pytest.fixture
def component_environment(airflow_variables):
    """Environment of a process that initialises everything in Airflow, as production does."""
    variables = {name: value for name, value in os.environ.items() if name != AS_LIBRARY}
    return variables | {"PYTHONPATH": str(PROJECT / "plugins")}


@pytest.fixture
def dates(airflow_variables):
    return importlib.import_module("nightshift.dates")


@pytest.fixture
def steps(airflow_variables):
    return importlib.import_module("nightshift.steps")


@pytest.fixture
def step_task(airflow_variables):
    return importlib.import_module("nightshift.tasks").step_task
