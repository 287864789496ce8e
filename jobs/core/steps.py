"""Every step of Nightshift, one row per step, in pipeline order.

The command line, the check of params.yaml, the frame's locks, Airflow's pools, time limits, events
and runbook links, dvc.yaml and docs/dags.md derive from this table. A new step needs its module in
jobs/steps, a row here, and its edges in plugins/nightshift/night.py. This module imports nothing
heavy, since the scheduler reads it whenever it parses a DAG.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

Group = Literal["ingest", "features", "training", "gate", "publish", "operations"]
Pool = Literal["default_pool", "clickhouse", "training"]
Lock = Literal["date", "pipeline", None]


@dataclass(frozen=True, kw_only=True)
class StepRow:
    """What holds for a step wherever it runs.

    lock: what a run holds while it writes: its date of the step, the whole pipeline, or nothing.
    pool: the Airflow pool of its task; `clickhouse` for a step that opens ClickHouse.
    timeout: when Airflow ends its task; None for a step that is no task. About ten times the
        duration of a large night, so that it ends only a process that hangs.
    event: what is true after the step, as the asset `<pipeline>.<event>`.
    runbook: sections of docs/runbook.md for a failure, the likeliest first.
    other_sections: sections of the parameters that the step reads besides its own.
    code: files and folders of jobs/ that decide its result, besides its module and its use case.
    decisive_facts: facts by which later steps decide, so that a change makes these steps stale.
    pod_size: the size of its pod where params.yaml names none; empty for a process of the worker.
    """

    name: str
    group: Group
    lock: Lock
    nightly: bool = True
    pool: Pool = "default_pool"
    timeout: timedelta | None = None
    event: str = ""
    runbook: tuple[str, ...] = ()
    other_sections: tuple[str, ...] = ()
    code: tuple[str, ...] = ()
    decisive_facts: tuple[str, ...] = ()
    pod_size: str = ""


_ROWS = (
    StepRow(
        name="extract",
        group="ingest",
        lock="date",
        timeout=timedelta(hours=1),
        runbook=("the-source-is-down", "the-source-lacks-a-table-or-a-column"),
        code=("core/cast.py",),
        decisive_facts=("trailing_mean",),
    ),
    StepRow(
        name="validate",
        group="ingest",
        lock="date",
        timeout=timedelta(hours=1),
        event="data.ingested",
        runbook=("too-many-bad-rows", "half-a-day", "a-day-of-few-ratings"),
    ),
    StepRow(
        name="build_features",
        group="features",
        lock="date",
        pool="clickhouse",
        timeout=timedelta(hours=2),
        event="features.computed",
        runbook=("clickhouse-is-held-by-another-process", "java-is-missing"),
    ),
    StepRow(
        name="snapshot",
        group="training",
        lock="date",
        pool="clickhouse",
        timeout=timedelta(hours=2),
        runbook=(
            "a-day-of-the-window-is-missing",
            "the-first-nights",
            "a-file-of-the-lake-is-gone-or-damaged",
        ),
    ),
    StepRow(
        name="check_drift",
        group="training",
        lock="date",
        pool="clickhouse",
        timeout=timedelta(hours=2),
        runbook=("drift-is-not-known", "java-is-missing"),
        other_sections=("predict",),
        code=("evaluation",),
    ),
    StepRow(
        name="retrain",
        group="training",
        lock="date",
        pool="clickhouse",
        timeout=timedelta(minutes=30),
        runbook=("nothing-was-trained",),
    ),
    StepRow(
        name="train",
        group="training",
        lock=None,  # pods reach no PostgreSQL; an attempt writes to a path of its own
        pool="training",
        timeout=timedelta(hours=5),
        event="model.trained",
        runbook=("training-failed", "a-pod-does-not-start", "a-pod-died", "mlflow-is-down"),
        code=("training",),
        pod_size="gpu",
    ),
    StepRow(
        name="gate",
        group="gate",
        lock="date",
        pool="clickhouse",
        timeout=timedelta(hours=1),
        runbook=("the-challenger-was-rejected",),
        other_sections=("snapshot", "predict"),
        code=("evaluation",),
    ),
    StepRow(
        name="approve",
        group="gate",
        lock="date",
        nightly=False,  # only where params.yaml asks for a person's approval
        timeout=timedelta(minutes=5),
        runbook=("an-approval-is-awaited",),
    ),
    StepRow(
        name="promote",
        group="gate",
        lock="pipeline",
        timeout=timedelta(minutes=30),
        event="model.promoted",
        runbook=("the-challenger-was-rejected", "an-approval-is-awaited", "mlflow-is-down"),
    ),
    StepRow(
        name="predict",
        group="publish",
        lock="date",
        pool="clickhouse",
        timeout=timedelta(hours=2),
        runbook=("there-is-no-champion", "a-day-of-the-window-is-missing"),
    ),
    StepRow(
        name="reconcile",
        group="publish",
        lock="pipeline",
        nightly=False,  # every publish starts with it
    ),
    StepRow(
        name="publish",
        group="publish",
        lock="pipeline",
        pool="clickhouse",
        timeout=timedelta(hours=1),
        event="predictions.published",
        runbook=(
            "a-publish-was-interrupted",
            "redis-is-down-or-was-flushed",
            "postgresql-is-down",
        ),
    ),
    StepRow(
        name="verify",
        group="publish",
        lock="pipeline",  # nothing may move while it reads
        pool="clickhouse",
        timeout=timedelta(hours=1),
        runbook=("verify-finds-a-difference",),
    ),
    StepRow(
        name="freshness",
        group="operations",
        lock=None,  # it only reads, and waits for no other step
        nightly=False,
        timeout=timedelta(minutes=10),
        runbook=("the-day-is-not-served", "redis-is-down-or-was-flushed"),
    ),
    StepRow(
        name="rollback",
        group="operations",
        lock="pipeline",
        nightly=False,
        timeout=timedelta(minutes=10),
        runbook=("bad-tables-are-served", "a-published-version-is-withdrawn"),
    ),
    StepRow(
        name="housekeeping",
        group="operations",
        lock="pipeline",  # it drops versions, so no publish may add one
        nightly=False,
        pool="clickhouse",
        timeout=timedelta(hours=1),
        runbook=("housekeeping-failed", "a-file-of-the-lake-is-gone-or-damaged"),
    ),
)

STEPS: Final[Mapping[str, StepRow]] = {row.name: row for row in _ROWS}


def _nightly(*groups: Group) -> tuple[str, ...]:
    """The steps of every night that belong to these groups, in order."""
    return tuple(row.name for row in _ROWS if row.nightly and row.group in groups)


NIGHTLY: Final = _nightly("ingest", "features", "training", "gate", "publish")
# What a day needs before a later night can look back on it.
INGEST: Final = _nightly("ingest", "features")
# A failure of one of these does not stop the day's tables.
TRAINING: Final = _nightly("training", "gate")
# Skipped when retrain keeps the champion.
AFTER_RETRAIN: Final = TRAINING[TRAINING.index("retrain") + 1 :]
