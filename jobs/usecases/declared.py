"""What a use case declares in its folder, by the name of its pipeline."""

from __future__ import annotations

from importlib import import_module
from typing import TypeVar

from jobs.core.errors import ConfigError
from jobs.core.pipelines import PIPELINES
from jobs.core.text import choice

Declared = TypeVar("Declared")


def declared(pipeline: str, path: str, kind: type[Declared]) -> Declared:
    """Return the value at `path` below the use case's folder, such as `usecase.USECASE`.

    ConfigError lists the pipelines if there is no such pipeline.
    """
    if pipeline not in PIPELINES:
        raise ConfigError(
            "there is no such pipeline", input=pipeline, remedy=choice(pipeline, PIPELINES)
        )
    module, _, name = f"jobs.usecases.{pipeline}.{path}".rpartition(".")
    value = getattr(import_module(module), name)
    if not isinstance(value, kind):
        raise TypeError(f"{module}.{name} is not a `{kind.__name__}` value")
    return value
