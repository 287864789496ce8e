"""extract: copy one day of every source from PostgreSQL into the lake, typed but otherwise
unchanged.

Options: refresh (read the tables without a time column again), force (run a date that is far from
every day with rows).
"""

from __future__ import annotations

from typing import NamedTuple

import pyarrow as pa

from jobs.core.cast import typed
from jobs.core.errors import DataError
from jobs.core.facts import ExtractFacts
from jobs.core.manifest import Dataset
from jobs.core.params import ExtractParams
from jobs.core.tables import Source
from jobs.steps.far import refuse_far
from jobs.steps.frame import Phases, Result, Staged, Step
from jobs.stores import source as operational
from jobs.usecases.discovery import find_usecase


class Extracted(NamedTuple):
    """The rows of D by source, rows per day before D, and what is kept or ignored."""

    texts: dict[Source, pa.Table]
    trailing_mean: dict[str, float]
    unread_columns: list[str]
    kept: list[Dataset]


def read(step: Step) -> Extracted:
    start, end = step.run.window
    window_days = step.params(ExtractParams).volume_window_days
    sources = find_usecase(step.run.pipeline).sources
    kept = [] if step.options.get("refresh") else _kept(step)
    texts, volumes = {}, {}
    with operational.connect_source(step.settings.source) as session:
        if extra := operational.extra_columns(session, sources):
            step.log.warning("the source has columns that no step reads", columns=extra)
        for source in sources:
            if source.name in [dataset.name for dataset in kept]:
                continue
            texts[source] = operational.read_day(session, source, start, end)
            if source.time:
                # The mean of the days before, from the source itself: the check on it must not
                # depend on which days are already in the lake.
                before = operational.rows_before(session, source, start, window_days)
                volumes[source.name] = before / window_days
        if not step.options.get("force") and not any(
            len(texts[source]) for source in texts if source.time
        ):
            gap = step.params(ExtractParams).max_gap_days
            refuse_far(session, step.lake, step.run.pipeline, step.run.date, gap)
    return Extracted(texts, volumes, extra, kept)


def compute(step: Step, extracted: Extracted) -> tuple[Extracted, dict[Source, pa.Table]]:
    tables = {
        source: typed(text, source.schema, dict(source.money))
        for source, text in extracted.texts.items()
    }
    for source, table in tables.items():
        if not source.time and not table.num_rows:
            step.log.warning(
                "the source has no rows in a table that every day needs", table=source.name
            )
    return extracted, tables


def stage(step: Step, computed: tuple[Extracted, dict[Source, pa.Table]]) -> Staged:
    extracted, tables = computed
    outputs = [
        step.lake.write_table(step.folder, source.name, table, tuple(table.column_names))
        for source, table in tables.items()
    ] + extracted.kept
    facts = ExtractFacts.model_validate(
        {dataset.name: dataset.rows for dataset in outputs}
        | {
            "trailing_mean": extracted.trailing_mean,
            "unread_columns": extracted.unread_columns,
        }
    )
    return Staged(lambda: Result(facts, outputs))


def _kept(step: Step) -> list[Dataset]:
    """The datasets of an earlier extract of D for sources without a time column.

    Reading these tables again would give the state of a later day.
    """
    timeless = [
        source.name for source in find_usecase(step.run.pipeline).sources if source.time is None
    ]
    earlier = step.lake.manifest(step.folder)
    # an extract during the day is not the state at its end
    if earlier is None or earlier.premature:
        return []
    outputs = [dataset for dataset in earlier.outputs if dataset.name in timeless]
    return [dataset for dataset in outputs if _readable(step, dataset)]


def _readable(step: Step, dataset: Dataset) -> bool:
    try:
        step.lake.read_table(dataset)
    except DataError as error:
        step.log.warning("the table of D is lost, reading the current one", lost=str(error))
        return False
    return True


PHASES = Phases(read, compute, stage)
