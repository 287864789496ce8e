"""The night's own records in ClickHouse: drift, retrain decisions and gate checks, per day."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import pyarrow as pa

from jobs.core.manifest import Dataset
from jobs.core.tables import DATE, Column, Table
from jobs.steps.frame import Requirement, Result, Staged, Step
from jobs.stores import clickhouse

DRIFT_METRICS = Table(
    "drift_metrics",
    ("scope", "kind", "name"),
    (
        DATE,
        Column(
            "scope",
            pa.string(),
            "`day`, `window` (the days up to D that params name) or `labelled` (the latest days "
            "with labels)",
        ),
        Column(
            "kind",
            pa.string(),
            "`data`, `feature`, `prediction`, `label` or `target` (the champion's own performance)",
        ),
        Column("name", pa.string(), "name of the feature, or of what else was checked"),
        Column(
            "method",
            pa.string(),
            "how the distance is measured: an effect size, which does not grow with the rows",
        ),
        Column("value", pa.float64(), "measured value; null if not judged", nullable=True),
        Column("threshold", pa.float64(), "limit of the value", nullable=True),
        Column(
            "severity",
            pa.string(),
            "`fail` is drift, a reason to retrain; `warn` is only reported",
        ),
        Column("passed", pa.bool_(), "whether the check passed"),
        Column("rows", pa.int64(), "rows that were compared"),
        Column("reference_rows", pa.int64(), "rows of the champion's reference"),
        Column("message", pa.string(), "what the check means", text=True),
        Column(
            "champion",
            pa.string(),
            "digest of the model that the reference belongs to; null without one",
            nullable=True,
        ),
    ),
    grain="one row per day, scope and check of the data, a feature, the prediction, the label or "
    "the champion's own performance",
)

RETRAIN_DECISIONS = Table(
    "retrain_decisions",
    ("policy",),
    (
        DATE,
        Column("policy", pa.string(), "`daily`, `on_drift` or `weekly`"),
        Column("decision", pa.string(), "`train` or `keep`"),
        Column("reasons", pa.string(), "reasons of the decision, joined by `; `", text=True),
        Column(
            "champion",
            pa.string(),
            "digest of the champion as of the day before; null without one",
            nullable=True,
        ),
        Column(
            "champion_age_days",
            pa.int64(),
            "age of the champion; null without one",
            nullable=True,
            unit="days",
        ),
    ),
    grain="one row per day: the policy and its decision",
)

GATE_CHECKS = Table(
    "gate_checks",
    ("name",),
    (
        DATE,
        Column(
            "name",
            pa.string(),
            "check: `floor.<metric>`, `ceiling.<metric>`, `margin.<metric>`, `low.<metric>`, "
            "`slice.<name>`, `null_growth`, `skew`, `size`, `latency`, `rolled_back`, `first_run` "
            "or `champion_unfit`",
        ),
        Column("passed", pa.bool_(), "whether the check passed"),
        Column("value", pa.float64(), "measured value; null for `latency`", nullable=True),
        Column("threshold", pa.float64(), "limit of the value", nullable=True),
        Column(
            "measured_ms",
            pa.float64(),
            "of `latency`: time to judge 1,000 examples; digests leave it out, since every run "
            "measures another value",
            nullable=True,
            unit="milliseconds",
        ),
        Column("severity", pa.string(), "`fail` rejects the challenger; `warn` is only reported"),
        Column("message", pa.string(), "what the check means", text=True),
        Column("verdict", pa.string(), "`promoted` or `rejected`"),
        Column("mode", pa.string(), "`enforce`, or `warn`: failed checks did not reject"),
        Column("challenger", pa.string(), "digest of the model that was judged"),
        Column(
            "champion",
            pa.string(),
            "digest of the champion that it was compared with; null without one",
            nullable=True,
        ),
    ),
    grain="one row per day and check of the gate",
)

RECORDS = (DRIFT_METRICS, RETRAIN_DECISIONS, GATE_CHECKS)


def as_table(step: Step, table: Table, rows: Iterable[Mapping[str, object]]) -> pa.Table:
    """The day's rows of a record; adds the column `date`."""
    return pa.Table.from_pylist(
        [{"date": step.run.date, **row} for row in rows], schema=table.schema
    )


def stage(
    step: Step, contents: Mapping[Table, pa.Table], result: Result, events: int | None = None
) -> Staged:
    """Stage the day's rows of ClickHouse tables, which become outputs of the result.

    `events` is how many rows an event table must have; by default as many as its content.
    """
    pipeline, day = step.run.pipeline, step.run.date
    datasets = [
        clickhouse_dataset(pipeline, table.name, rows.num_rows, table.digest(rows))
        for table, rows in contents.items()
    ]
    db = step.open(clickhouse.connect_clickhouse(step.settings))
    staged = {
        table: db.stage(pipeline, table, day, step.run.attempt, rows)
        for table, rows in contents.items()
    }

    def check() -> Iterator[Requirement]:
        for table, staging in staged.items():
            rows = contents[table].num_rows
            expected = rows if events is None or table.kind != "event" else events
            yield Requirement(
                db.check(pipeline, staging, table, day, expected),
                remedy=f"report this as a defect of {step.run.step}; the stored rows did not "
                "change",
            )

    def swap() -> Result:
        for staging in staged.values():
            db.swap(pipeline, staging)
        return replace(result, outputs=[*result.outputs, *datasets])

    return Staged(swap, check)


def clickhouse_dataset(pipeline: str, name: str, rows: int, digest: str) -> Dataset:
    """A partition of a ClickHouse table, as a dataset of a manifest."""
    return Dataset(name=name, path=f"clickhouse:{pipeline}.{name}", rows=rows, digest=digest)
