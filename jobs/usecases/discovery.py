"""Use cases by the name of their pipeline."""

from __future__ import annotations

import importlib

from jobs.core.errors import ConfigError
from jobs.core.pipelines import PIPELINES
from jobs.core.text import choice
from jobs.usecases.contract import UseCase


def find_usecase(pipeline: str) -> UseCase:
    """The use case of a pipeline; ConfigError lists the pipelines if it has no such name."""
    if pipeline not in PIPELINES:
        raise ConfigError(
            "there is no such pipeline", input=pipeline, remedy=choice(pipeline, PIPELINES)
        )
    value = importlib.import_module(f"jobs.usecases.{pipeline}.usecase").USECASE
    if not isinstance(value, UseCase):
        raise TypeError(f"USECASE of jobs/usecases/{pipeline}/usecase.py is no UseCase")
    return value
