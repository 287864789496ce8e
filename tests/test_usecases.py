"""Use cases as values: every folder has one, and naming one stays cheap."""

from __future__ import annotations

import subprocess
import sys
from enum import IntEnum
from importlib import import_module

import pytest

from jobs.cli.commands import Commands
from jobs.cli.discovery import find_commands, find_tables
from jobs.core.errors import ConfigError
from jobs.core.pipelines import DEFAULT_PIPELINE, PIPELINES
from jobs.core.settings import PROJECT
from jobs.usecases.declared import declared
from jobs.usecases.discovery import find_usecase
from jobs.usecases.fraud.params import FraudPredictParams
from jobs.usecases.movies import params as of_movies

SLOW = ("xgboost", "pandas", "pyspark", "sklearn", "matplotlib", "scipy", "mlflow")


def streams(pipeline: str) -> list[type[IntEnum]]:
    """The enumerations of random streams that the use case's operational modules define."""
    folder = PROJECT / "jobs" / "usecases" / pipeline / "operational"
    names = [
        f"jobs.usecases.{pipeline}.operational.{path.stem}" for path in folder.glob("[!_]*.py")
    ]
    return [
        value
        for module in map(import_module, names)
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, IntEnum)
        and value.__module__ == module.__name__
    ]


def loaded_by(module: str) -> set[str]:
    """The libraries that a fresh interpreter has loaded after it imported `module`."""
    program = f"import sys, {module}; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_a_use_case_has_the_name_of_its_folder(pipeline: str) -> None:
    assert find_usecase(pipeline).name == pipeline


@pytest.mark.parametrize("find", [find_usecase, find_commands, find_tables])
def test_an_unknown_pipeline_is_an_error_that_names_the_pipelines(find) -> None:
    with pytest.raises(ConfigError, match="no such pipeline") as error:
        find("froud")
    assert "fraud" in str(error.value)


def test_a_declaration_of_another_type_is_refused() -> None:
    with pytest.raises(TypeError, match=r"fraud\.usecase\.USECASE is not a `Commands`"):
        declared("fraud", "usecase.USECASE", Commands)


def test_the_default_pipeline_exists() -> None:
    assert DEFAULT_PIPELINE in PIPELINES


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


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_a_use_case_extracts_the_tables_that_its_commands_fill(pipeline: str) -> None:
    sources = {source.name for source in find_usecase(pipeline).sources}
    assert {table.name for table in find_tables(pipeline)} == sources


def test_no_two_use_cases_have_an_operational_table_of_the_same_name() -> None:
    names = [table.name for pipeline in PIPELINES for table in find_tables(pipeline)]
    assert len(names) == len(set(names))


def test_random_streams_differ_within_and_between_use_cases() -> None:
    """Equal values would draw the same numbers, and correlate what should be independent."""
    values = [
        member.value
        for pipeline in PIPELINES
        for stream in streams(pipeline)
        for member in stream.__members__.values()
    ]
    assert len(values) == len(set(values)) > 0


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
