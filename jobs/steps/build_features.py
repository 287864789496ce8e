"""build_features: aggregate the day with Spark into ClickHouse, one partition per day."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from jobs.core.facts import BuildFeaturesFacts
from jobs.core.tables import Table
from jobs.steps import records
from jobs.steps.frame import Phases, Result, Staged, Step
from jobs.stores import spark
from jobs.usecases.discovery import find_usecase

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def read(step: Step) -> dict[str, DataFrame]:
    validate = step.manifest("validate")
    session = spark.session(step.settings)
    frames = {}
    for source in find_usecase(step.run.pipeline).sources:
        dataset = validate.output(source.name)
        step.use(dataset)
        frames[source.name] = spark.read(session, step.lake, [dataset], source.schema)
    return frames


def compute(step: Step, rows: dict[str, DataFrame]) -> dict[Table, pa.Table]:
    usecase = find_usecase(step.run.pipeline)
    frames = usecase.features.aggregate(rows)
    return {table: spark.collect(frames[table.name], table) for table in usecase.aggregates}


def stage(step: Step, aggregates: dict[Table, pa.Table]) -> Staged:
    counts = {table.name: rows.num_rows for table, rows in aggregates.items()}
    return records.stage(step, aggregates, Result(BuildFeaturesFacts.model_validate(counts)))


PHASES = Phases(read, compute, stage)
