"""snapshot: build the training set of D, point in time, named by its content and tracked by DVC."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from jobs.core.checks import Check, at_least, equal
from jobs.core.facts import SnapshotFacts
from jobs.core.identity import days
from jobs.steps.frame import Step
from jobs.steps.inputs import frames, good_rows
from jobs.stores import snapshots, spark
from jobs.usecases.discovery import find_usecase


def run(step: Step) -> None:
    pipeline, day = step.run.pipeline, step.run.date
    features = find_usecase(pipeline).features
    step.at("window")
    step.wait_for_day_before()
    needed = features.training.days(day, step.section)
    step.at("read")
    session = spark.session(step.settings)
    # Every day enters a training at some time, so the days of the aggregates are checked here too.
    window = days(min(first for part in needed.values() for first in part), day)
    with frames(step, session, needed, summed=window) as read:
        step.at("compute")
        table = features.training.build(read, day, step.section).toArrow()
    step.at("stage")
    dataset = step.lake.write_table(step.folder, "training_set", table, features.key)
    step.at("check")
    expected = sum(
        dataset.rows for dataset in good_rows(step, features.examples, needed[features.examples])
    )
    step.check(
        [
            equal("rows_out_equal_rows_in", table.num_rows, expected),
            *_check_splits(table, features.label),
        ],
        remedy="check that the source has labels for the window, or raise snapshot.train_days or "
        "holdout_days",
        input=dataset.path,
    )
    step.at("swap")
    md5, pointer = snapshots.track(
        step.settings, pipeline, f"{day}.parquet", step.lake.read_bytes(dataset.path)
    )
    step.outputs.append(dataset)
    splits = _count_splits(table)
    step.facts = SnapshotFacts(rows=table.num_rows, snapshot_md5=md5, dvc=pointer, **splits)


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
