"""The inputs of a window: good rows from the lake and aggregates from ClickHouse, verified."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from jobs.core.errors import DataError
from jobs.core.manifest import Dataset, Manifest
from jobs.core.params import Section
from jobs.core.tables import Days, Frames, Table
from jobs.steps import unique
from jobs.steps.frame import Step
from jobs.stores import clickhouse, spark
from jobs.usecases.discovery import find_usecase

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@contextmanager
def frames(
    step: Step, session: SparkSession, needed: Days, summed: Iterable[date] = ()
) -> Iterator[Frames]:
    """A frame per name in `needed`, valid while the context is open, and recorded as inputs.

    A name may have a suffix (`transactions:matured`) if a source is needed for other days too.
    Raises DataError if an example is in two of its days, or in two of the days `summed` in
    aggregates.
    """
    examples = find_usecase(step.run.pipeline).features.examples
    rows = {
        day for name, days in needed.items() if name.partition(":")[0] == examples for day in days
    }
    with TemporaryDirectory(dir=step.settings.home / "tmp", prefix=f"{step.run.step}-") as scratch:
        opened = {name: _frame(step, session, name, needed, Path(scratch)) for name in needed}
        unique.check(step, session, rows.union(summed))
        yield opened


def _frame(step: Step, session: SparkSession, name: str, needed: Days, scratch: Path) -> DataFrame:
    usecase = find_usecase(step.run.pipeline)
    aggregates = {table.name: table for table in usecase.aggregates}
    if name in aggregates:
        table = read_table(step, aggregates[name], step.look_back("build_features", needed[name]))
        return spark.frame(session, table, scratch / f"{name}.parquet")
    origin = name.partition(":")[0]
    datasets = good_rows(step, origin, needed[name])
    step.use(*datasets)
    schema = usecase.source(origin).schema
    if not datasets:
        return spark.frame(session, schema.empty_table(), scratch / f"{name}.parquet")
    return spark.read(session, step.lake, datasets, schema)


def scoring(
    step: Step, section: Section, seen: Sequence[str] = ()
) -> tuple[pa.Table, dict[str, pa.Table]]:
    """The scoring set of D for predict's `section`, and the inputs that `seen` names."""
    scoring, day = find_usecase(step.run.pipeline).features.scoring, step.run.date
    with frames(step, spark.session(step.settings), scoring.days(day, section)) as read:
        events = scoring.build(read, day, section).toArrow()
        return events, {name: read[name].toArrow() for name in seen}


def good_rows(step: Step, source: str, days: Sequence[date]) -> list[Dataset]:
    """The good rows of a source, one dataset per day."""
    return [manifest.output(source) for manifest in step.look_back("validate", days)]


def read_table(step: Step, table: Table, manifests: list[Manifest]) -> pa.Table:
    """The partitions of a table that `manifests` wrote, verified against their digests."""
    datasets = [manifest.output(table.name) for manifest in manifests]
    step.use(*datasets)
    with clickhouse.connect_clickhouse(step.settings) as db:
        rows = db.read(step.run.pipeline, table, [manifest.date for manifest in manifests])
    for manifest, dataset in zip(manifests, datasets, strict=True):
        _verify(rows, table, manifest, dataset)
    return rows


def _verify(rows: pa.Table, table: Table, manifest: Manifest, dataset: Dataset) -> None:
    """Raise DataError if the day's rows are not those of the manifest.

    A step that is killed between its swap and its manifest leaves rows without a manifest.
    """
    days, day = rows["date"].to_numpy(), np.datetime64(manifest.date)
    start, end = np.searchsorted(days, day, "left"), np.searchsorted(days, day, "right")
    if not table.matches(rows.slice(start, end - start), dataset.digest):
        raise DataError(
            f"{table.name} of {manifest.date} is not what {manifest.name} says it wrote",
            remedy=f"{manifest.step} of that day is in progress or was killed: run it again",
            input=dataset.path,
        )
