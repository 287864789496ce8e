"""The parts of a use case, by the name of its pipeline."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any, cast

from jobs.core.errors import ConfigError
from jobs.core.params import Section
from jobs.core.pipelines import PIPELINES
from jobs.core.tables import Source, Table
from jobs.core.text import choice
from jobs.evaluation.watched import Drift
from jobs.usecases.contract import Features, Model, Parameters, Predictions, Sources, Tables


def module(pipeline: str, name: str) -> Any:
    """The module `name` of a use case; ConfigError for an unknown pipeline."""
    if pipeline not in PIPELINES:
        raise ConfigError(
            "there is no such pipeline", input=pipeline, remedy=choice(pipeline, PIPELINES)
        )
    return importlib.import_module(f"jobs.usecases.{pipeline}.{name}")


def sources(pipeline: str) -> Sequence[Source]:
    return cast(Sources, module(pipeline, "sources")).SOURCES


def tables(pipeline: str) -> Tables:
    return cast(Tables, module(pipeline, "tables"))


def parameters(pipeline: str) -> Mapping[str, type[Section]]:
    return cast(Parameters, module(pipeline, "params")).PARAMS


def conflicts(pipeline: str, sections: Mapping[str, Section]) -> list[str]:
    """What is wrong between the sections, by `<pipeline>.<step>.<key>`."""
    found = cast(Parameters, module(pipeline, "params")).conflicts(sections)
    return [f"{pipeline}.{each}" for each in found]


def features(pipeline: str) -> Features:
    return cast(Features, module(pipeline, "features"))


def model(pipeline: str) -> Model:
    return cast(Model, module(pipeline, "model"))


def predictions(pipeline: str) -> Predictions:
    return cast(Predictions, module(pipeline, "predictions"))


def drift(pipeline: str) -> Drift:
    return cast(Drift, module(pipeline, "drift"))


def prediction(pipeline: str, name: str) -> Table:
    """The published table `name`; ConfigError names those there are."""
    for table in tables(pipeline).PREDICTIONS:
        if table.name == name:
            return table
    known = ", ".join(table.name for table in tables(pipeline).PREDICTIONS)
    raise ConfigError(f"{pipeline} publishes no table {name!r}", remedy=f"tables: {known}")
