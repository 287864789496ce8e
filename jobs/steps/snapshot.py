"""snapshot: build the training set of D, point in time, named by its content and tracked by DVC."""

from __future__ import annotations

from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from jobs.core.checks import Check, at_least, equal
from jobs.core.facts import SnapshotFacts
from jobs.core.identity import days
from jobs.core.manifest import Dataset
from jobs.core.tables import Frames
from jobs.steps.frame import Phases, Requirement, Result, Staged, Step
from jobs.steps.inputs import frames, good_rows
from jobs.stores import snapshots, spark
from jobs.usecases.discovery import find_usecase


class TrainingWindow(NamedTuple):
    """The frames of the window, and how many rows the examples come from."""

    frames: Frames
    rows: int


class TrainingSet(NamedTuple):
    table: pa.Table
    expected: int


def read(step: Step) -> TrainingWindow:
    pipeline, day = step.run.pipeline, step.run.date
    features = find_usecase(pipeline).features
    needed = features.training.days(day, step.section)
    session = spark.session(step.settings)
    # Every day enters a training at some time, so the days of the aggregates are checked here too.
    window = days(min(first for part in needed.values() for first in part), day)
    examples = good_rows(step, features.examples, needed[features.examples])
    return TrainingWindow(
        step.open(frames(step, session, needed, summed=window)),
        sum(dataset.rows for dataset in examples),
    )


def compute(step: Step, window: TrainingWindow) -> TrainingSet:
    training = find_usecase(step.run.pipeline).features.training
    table = training.build(window.frames, step.run.date, step.section).toArrow()
    return TrainingSet(table, window.rows)


def stage(step: Step, computed: TrainingSet) -> Staged:
    features, table = find_usecase(step.run.pipeline).features, computed.table
    dataset = step.lake.write_table(step.folder, "training_set", table, features.key)
    requirement = Requirement(
        [
            equal("rows_out_equal_rows_in", table.num_rows, computed.expected),
            *_check_splits(table, features.label),
        ],
        remedy="check that the source has labels for the window, or raise snapshot.train_days or "
        "holdout_days",
        input=dataset.path,
    )
    return Staged(lambda: _track(step, table, dataset), lambda: [requirement])


def _track(step: Step, table: pa.Table, dataset: Dataset) -> Result:
    """Track the training set by DVC."""
    md5, pointer = snapshots.track(
        step.settings,
        step.run.pipeline,
        f"{step.run.date}.parquet",
        step.lake.read_bytes(dataset.path),
    )
    splits = _count_splits(table)
    facts = SnapshotFacts(rows=table.num_rows, snapshot_md5=md5, dvc=pointer, **splits)
    return Result(facts, [dataset])


def _count_splits(table: pa.Table) -> dict[str, int]:
    counts = table.group_by("split").aggregate([([], "count_all")]).to_pylist()
    return {row["split"]: row["count_all"] for row in sorted(counts, key=lambda row: row["split"])}


def _check_splits(table: pa.Table, label: str) -> list[Check]:
    """Both splits need a positive example, because otherwise nothing can be fitted or judged."""
    positives = {
        split: int(
            pc.sum(table.filter(pc.equal(table["split"], split))[label].cast(pa.int64())).as_py()
            or 0
        )
        for split in ("train", "holdout")
    }
    return [at_least(f"{split}_positives", count, 1) for split, count in positives.items()]


PHASES = Phases(read, compute, stage, prepare=Step.wait_for_day_before)
