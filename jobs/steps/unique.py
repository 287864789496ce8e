"""Keys are unique over all days that are read together: an event that moved in the source may be in two of them.

Each day was right when it was extracted. An event whose time was changed from one day to another is in both as
soon as only one of them is extracted again; its examples and sums would count twice.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from jobs.core.errors import DataError
from jobs.core.tables import Source
from jobs.stores import spark
from jobs.usecases.discovery import find_usecase

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from jobs.steps.frame import Step

_SHOWN = 3


def check(step: Step, session: SparkSession, days: Collection[date]) -> None:
    """DataError when a key of the examples' source is in two of the days; it names both and the one to extract again."""
    usecase = find_usecase(step.run.pipeline)
    name = usecase.features.examples
    source = usecase.source(name)
    datasets = [manifest.output(name) for manifest in step.look_back("validate", sorted(days))]
    if len(datasets) > 1 and (twice := _twice(session, step, source, datasets)):
        raise _moved(step, source, twice)


def _twice(session: SparkSession, step: Step, source: Source, datasets: list[Any]) -> list[Any]:
    """(first day, last day, *key) of some keys that are in more than one day."""
    from pyspark.sql import functions as F

    moment = next(field.name for field in source.schema if pa.types.is_timestamp(field.type))
    rows = spark.read(session, step.lake, datasets, source.schema)
    day = F.to_date(moment)
    found = rows.groupBy(*source.key).agg(F.min(day).alias("first"), F.max(day).alias("last"))
    return list(found.where("first < last").orderBy(*source.key).limit(_SHOWN).collect())


def _moved(step: Step, source: Source, twice: list[Any]) -> DataError:
    first, last = twice[0]["first"], twice[0]["last"]
    named = ", ".join(":".join(str(row[name]) for name in source.key) for row in twice)
    older = min((first, last), key=lambda day: _extracted(step, day))
    return DataError(
        f"{named}: in {source.name} of {first} and again of {last}; it moved in the source after one of them was extracted",
        remedy=f"extract the older of the two extracts again: nightshift run {step.run.pipeline} --date {older}"
        " --to build_features; then run this step again",
        input=f"{step.run.pipeline}/validate/{first} and {step.run.pipeline}/validate/{last}",
    )


def _extracted(step: Step, day: date) -> float:
    """When the day was extracted, in seconds since 1970; 0 when nobody knows."""
    found = step.lake.manifest(f"{step.run.pipeline}/extract/{day}")
    return found.started.timestamp() if found else 0.0
