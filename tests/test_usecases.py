"""Use cases as values: every folder has one, and naming one stays cheap."""

from __future__ import annotations

import subprocess
import sys

import pytest

from jobs.cli.commands import find_commands
from jobs.core.errors import ConfigError
from jobs.core.pipelines import PIPELINES
from jobs.usecases.discovery import find_usecase
from jobs.usecases.fraud.params import FraudPredictParams
from jobs.usecases.movies import params as of_movies

SLOW = ("xgboost", "pandas", "pyspark", "sklearn", "matplotlib", "scipy", "mlflow")


def loaded_by(module: str) -> set[str]:
    """The libraries that a fresh interpreter has loaded after it imported `module`."""
    program = f"import sys, {module}; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_a_use_case_has_the_name_of_its_folder(pipeline: str) -> None:
    assert find_usecase(pipeline).name == pipeline


def test_an_unknown_pipeline_is_an_error_that_names_the_pipelines() -> None:
    with pytest.raises(ConfigError, match="no such pipeline") as error:
        find_usecase("froud")
    assert "fraud" in str(error.value)


def test_an_unknown_prediction_is_an_error_that_names_the_tables() -> None:
    with pytest.raises(ConfigError, match="publishes no table 'risk'") as error:
        find_usecase("fraud").prediction("risk")
    assert "customer_risk" in str(error.value)


@pytest.mark.process
@pytest.mark.parametrize("pipeline", PIPELINES)
def test_a_use_case_loads_no_model_library(pipeline: str) -> None:
    assert loaded_by(f"jobs.usecases.{pipeline}.usecase").isdisjoint(SLOW)


@pytest.mark.process
def test_the_commands_of_the_use_cases_load_no_model_library() -> None:
    assert loaded_by("jobs.cli.source, jobs.cli.backtest").isdisjoint(SLOW)


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_every_use_case_has_commands(pipeline: str) -> None:
    commands = find_commands(pipeline)
    assert commands.source and commands.load


@pytest.mark.process
def test_the_names_of_the_pipelines_load_no_use_case() -> None:
    loaded = loaded_by("jobs.core.pipelines")
    assert loaded.isdisjoint({*SLOW, "pyarrow", "numpy", "pydantic"})


def test_parameters_of_another_use_case_are_refused() -> None:
    scoring = find_usecase("movies").features.scoring
    with pytest.raises(TypeError, match="expected MoviesPredictParams"):
        scoring.days(None, FraudPredictParams())
    assert of_movies.MoviesPredictParams is not FraudPredictParams


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_the_command_line_and_the_demo_know_every_prediction(pipeline: str) -> None:
    usecase = find_usecase(pipeline)
    names = {table.name for table in usecase.predictions}
    assert set(usecase.entities.values()) == names == set(usecase.demo.order)


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_the_names_that_an_estimator_gives_exist(pipeline: str) -> None:
    usecase = find_usecase(pipeline)
    estimator = usecase.estimator()
    assert usecase.prediction(estimator.compared)
    assert estimator.past is None or usecase.prediction(estimator.past)
    sources = {source.name for source in usecase.sources}
    inputs = sources | {table.name for table in usecase.aggregates}
    assert set(estimator.beside) <= sources and set(estimator.seen) <= inputs
    assert usecase.features.examples in sources
