"""What the night writes down of its own judgement, in ClickHouse: a table a kind, a partition a day."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from jobs.core.manifest import Dataset
from jobs.core.tables import Table
from jobs.steps.frame import Step
from jobs.stores import clickhouse


def _table(
    name: str, key: tuple[str, ...], grain: str, nullable: tuple[str, ...], /, **columns: Any
) -> Table:
    text = tuple(column for column in columns if column in ("message", "reasons"))
    fields = [pa.field(column, kind, column in nullable) for column, kind in columns.items()]
    return Table(
        name,
        key,
        pa.schema([pa.field("date", pa.date32(), nullable=False), *fields]),
        grain=grain,
        text=text,
    )


DRIFT_METRICS = _table(
    "drift_metrics",
    ("scope", "kind", "name"),
    "one row a day, scope (the day, the window that ends with it, or the latest labelled days) and check: of the data, a "
    "feature, the prediction, the label or the champion's own performance",
    ("value", "threshold", "champion"),
    scope=pa.string(),
    kind=pa.string(),
    name=pa.string(),
    method=pa.string(),
    value=pa.float64(),
    threshold=pa.float64(),
    severity=pa.string(),
    passed=pa.bool_(),
    rows=pa.int64(),
    reference_rows=pa.int64(),
    message=pa.string(),
    champion=pa.string(),
)

RETRAIN_DECISIONS = _table(
    "retrain_decisions",
    ("policy",),
    "one row a day: the policy, and what it decided",
    ("champion", "champion_age_days"),
    policy=pa.string(),
    decision=pa.string(),
    reasons=pa.string(),
    champion=pa.string(),
    champion_age_days=pa.int64(),
)

GATE_CHECKS = _table(
    "gate_checks",
    ("name",),
    "one row a day and check of the gate",
    ("value", "threshold", "measured_ms", "champion"),
    name=pa.string(),
    passed=pa.bool_(),
    value=pa.float64(),
    threshold=pa.float64(),
    measured_ms=pa.float64(),
    severity=pa.string(),
    message=pa.string(),
    verdict=pa.string(),
    mode=pa.string(),
    challenger=pa.string(),
    champion=pa.string(),
)

RECORDS = (DRIFT_METRICS, RETRAIN_DECISIONS, GATE_CHECKS)


def store(step: Step, table: Table, rows: Iterable[Mapping[str, Any]]) -> None:
    """Replace the day's rows of `table` and record them as an output; `date` is filled in."""
    content = pa.Table.from_pylist(
        [{"date": step.run.date, **row} for row in rows], schema=table.schema
    )
    pipeline = step.run.pipeline
    with clickhouse.connect(step.settings) as db:
        step.at("stage")
        staging = db.stage(pipeline, table, step.run.date, step.run.attempt, content)
        step.at("check")
        step.check(
            db.check(pipeline, staging, table, step.run.date, content.num_rows),
            remedy=f"two rows of {table.name} share a key: a defect of {step.run.step}; what was stored stands",
        )
        step.at("swap")
        db.swap(pipeline, staging)
    digest = table.digest(content)
    step.outputs.append(clickhouse_dataset(pipeline, table.name, content.num_rows, digest))


def clickhouse_dataset(pipeline: str, name: str, rows: int, digest: str) -> Dataset:
    """A partition of a ClickHouse table, as a manifest names it."""
    return Dataset(name=name, path=f"clickhouse:{pipeline}.{name}", rows=rows, digest=digest)
