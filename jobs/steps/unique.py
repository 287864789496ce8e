"""Checks that keys are unique over all days that are read together.

If the source moves an event to another day, and only one of the two days is extracted again, the
event is in both days. Its examples and sums would then count twice.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa

from jobs.core.errors import DataError
from jobs.core.manifest import Dataset
from jobs.core.tables import Source
from jobs.stores import spark
from jobs.usecases.discovery import find_usecase

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession

    from jobs.steps.frame import Step

_SHOWN = 3


def check(step: Step, session: SparkSession, days: Collection[date]) -> None:
    """Raise DataError if a key is in two days; it names both, and the day to extract again."""
    usecase = find_usecase(step.run.pipeline)
    name = usecase.features.examples
    source = usecase.source(name)
    datasets = [manifest.output(name) for manifest in step.look_back("validate", sorted(days))]
    if len(datasets) > 1 and (twice := _twice(session, step, source, datasets)):
        raise _moved(step, source, twice)


def _twice(session: SparkSession, step: Step, source: Source, datasets: list[Dataset]) -> list[Row]:
    """(first day, last day, *key) of some keys that are in several days."""
    from pyspark.sql import functions as F

    moment = next(field.name for field in source.schema if pa.types.is_timestamp(field.type))
    rows = spark.read(session, step.lake, datasets, source.schema)
    day = F.to_date(moment)
    spans = rows.groupBy(*source.key).agg(F.min(day).alias("first"), F.max(day).alias("last"))
    return list(spans.where("first < last").orderBy(*source.key).limit(_SHOWN).collect())


def _moved(step: Step, source: Source, twice: list[Row]) -> DataError:
    first, last = twice[0]["first"], twice[0]["last"]
    keys = ", ".join(":".join(str(row[name]) for name in source.key) for row in twice)
    older = min((first, last), key=lambda day: _extracted(step, day))
    return DataError(
        f"{keys}: in {source.name} of {first} and again of {last}; the source moved it after one "
        "of these days was extracted",
        remedy="extract the day again that was extracted first: nightshift run "
        f"{step.run.pipeline} --date {older} --to build_features; then run this step again",
        input=f"{step.run.pipeline}/validate/{first} and {step.run.pipeline}/validate/{last}",
    )


def _extracted(step: Step, day: date) -> float:
    """When the day was extracted, in seconds since 1970; 0 if unknown."""
    manifest = step.lake.manifest(f"{step.run.pipeline}/extract/{day}")
    return manifest.started.timestamp() if manifest else 0.0
