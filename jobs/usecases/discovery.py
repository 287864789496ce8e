"""Use cases by the name of their pipeline."""

from __future__ import annotations

from jobs.usecases.contract import UseCase
from jobs.usecases.declared import declared


def find_usecase(pipeline: str) -> UseCase:
    """The use case of a pipeline; ConfigError lists the pipelines if it has no such name."""
    return declared(pipeline, "usecase.USECASE", UseCase)
