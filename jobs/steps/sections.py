"""Checks all of params.yaml that a night reads, so that an error costs seconds, not the night."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from jobs.core import params, pods
from jobs.core.errors import ConfigError
from jobs.core.params import CheckDriftParams, Section
from jobs.evaluation.watched import configured
from jobs.usecases.contract import UseCase
from jobs.usecases.discovery import find_usecase


def check(path: Path, pipeline: str) -> None:
    """Raise ConfigError with every wrong key of every section, and every pair that contradicts
    itself.
    """
    usecase = find_usecase(pipeline)
    models = usecase.params
    wrong = [*_wrong(*_readings(path, pipeline, models))]
    if not wrong:
        sections = {
            step: params.section(path, pipeline, step, model) for step, model in models.items()
        }
        wrong = [f"{pipeline}.{conflict}" for conflict in usecase.conflicts(sections)]
        wrong += _wrong(partial(_watched, usecase, sections))
    if wrong:
        raise ConfigError(
            "; ".join(wrong),
            remedy=f"correct {path}; `nightshift params {pipeline}` explains every key",
        )


def _readings(
    path: Path, pipeline: str, models: Mapping[str, type[Section]]
) -> Iterator[Callable[[], object]]:
    yield partial(params.check_sections, path, pipeline, models)
    yield partial(params.first_date, path, pipeline)
    for step, model in models.items():
        yield partial(params.section, path, pipeline, step, model)
    yield partial(params.alerts, path)
    yield partial(pods.kubernetes, path)
    yield partial(pods.check, path, pipeline)


def _wrong(*readings: Callable[[], object]) -> Iterator[str]:
    """The errors of the readings that fail."""
    for reading in readings:
        try:
            reading()
        except ConfigError as error:
            yield error.what


def _watched(usecase: UseCase, sections: Mapping[str, Section]) -> None:
    """Raise ConfigError if a threshold or severity names a column that is not watched."""
    section = sections["check_drift"]
    assert isinstance(section, CheckDriftParams)
    if section.thresholds or section.severities:
        try:
            configured(usecase.estimator().watchlist.columns, section)
        except ConfigError as error:
            raise ConfigError(f"{usecase.name}.{error.what}") from None
