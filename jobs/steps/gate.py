"""gate: challenger against champion on the same holdout. A rejected challenger is a result, not an error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from jobs.core.bootstrap import bootstrap_interval
from jobs.core.checks import Check, at_least, failed
from jobs.core.digest import table_digest
from jobs.core.errors import DataError
from jobs.core.params import GateParams
from jobs.core.usecase import Table
from jobs.core.usecase import model as model_module
from jobs.steps.build_features import clickhouse_dataset
from jobs.steps.frame import Step
from jobs.steps.train import model_path, split
from jobs.stores import clickhouse, promotions

LOCK = "date"
PROMOTED, REJECTED = "promoted", "rejected"

CHECKS = Table(
    name="gate_checks",
    key=("name",),
    grain="one row a day and check of the gate",
    schema=pa.schema(
        [
            pa.field("date", pa.date32(), nullable=False), pa.field("name", pa.string(), nullable=False),
            pa.field("passed", pa.bool_(), nullable=False), pa.field("value", pa.float64()),
            pa.field("threshold", pa.float64()), pa.field("severity", pa.string(), nullable=False),
            pa.field("message", pa.string(), nullable=False), pa.field("verdict", pa.string(), nullable=False),
            pa.field("challenger", pa.string(), nullable=False), pa.field("champion", pa.string()),
        ]
    ),
)  # fmt: skip


def decide(
    challenger: Mapping[str, float],
    champion: Mapping[str, float] | None,
    params: GateParams,
    interval: tuple[float, float] | None = None,
) -> list[Check]:
    """The checks that a challenger has to pass: the absolute floors, and the margin over the champion, in the mean
    and, with `min_low`, at the low end of its `interval`.

    Without a champion (the first run) the floors alone decide; the check `first_run` says so.
    A metric that is NaN passes nothing.
    """
    checks = [at_least(f"floor.{name}", challenger[name], floor) for name, floor in params.floors.items()]
    if champion is None:
        return [*checks, Check("first_run", True, 1, 0, "warn", "no champion: the floors alone decide")]
    gain = challenger[params.metric] - champion[params.metric]
    message = f"{params.metric} {challenger[params.metric]:.4f} against the champion's {champion[params.metric]:.4f}"
    checks.append(at_least(f"margin.{params.metric}", gain, params.min_margin, message=message))
    if interval is None:
        return checks
    low, high = interval
    message = f"the gain is {low:+.4f} to {high:+.4f} (95 %, paired)"
    name = f"low.{params.metric}"
    if params.min_low is None:
        return [*checks, at_least(name, low, params.min_margin, "warn", message)]
    return [*checks, at_least(name, low, params.min_low, message=message)]


def run(step: Step) -> None:
    params, pipeline = step.params(GateParams), step.run.pipeline
    step.at("window")
    step.wait_for_day_before()
    train, snapshot = step.manifest("train"), step.manifest("snapshot")
    # Yesterday's champion: a re-run of D must meet the opponent that D met, not D's own winner.
    champion = promotions.champion(step.settings.postgres, pipeline, step.run.date, inclusive=False)
    step.at("read")
    if train.reads.get(snapshot.name) != snapshot.content:
        raise DataError(
            "the challenger was trained on another snapshot", remedy="run train again", input=train.name
        )
    dataset = snapshot.output("training_set")
    step.inputs.append(dataset)
    table = step.lake.read_table(dataset)
    digest = train.output("model").digest
    step.at("compute")
    usecase, examples = model_module(pipeline), split(table)
    ours = _load(step, digest)
    judged, opponent, interval = usecase.evaluate(ours, *examples), None, None
    if champion:
        theirs = _load(step, champion.digest)
        opponent = usecase.evaluate(theirs, *examples)
        pair = [usecase.values(each, *examples, params.metric) for each in (ours, theirs)]
        interval = None if pair[0] is None else bootstrap_interval(pair[0], pair[1])
    checks = decide(judged, opponent, params, interval)
    verdict = REJECTED if failed(checks) else PROMOTED
    _store(step, checks, verdict, digest, champion.digest if champion else None)
    step.checks += checks
    step.model_digest = digest
    step.facts |= {
        "verdict": verdict, "model_version": train.facts["model_version"], "metrics": judged,
        "champion": champion.digest if champion else None, "champion_version": champion.version if champion else None,
        "reasons": [str(check) for check in checks],
    }  # fmt: skip


def _load(step: Step, digest: str) -> Any:
    data = step.lake.read_bytes(model_path(step.run.pipeline, digest))
    return model_module(step.run.pipeline).load(data)


def _store(step: Step, checks: list[Check], verdict: str, challenger: str, champion: str | None) -> None:
    common: dict[str, Any] = {
        "date": step.run.date, "verdict": verdict, "challenger": challenger, "champion": champion,
    }  # fmt: skip
    rows = pa.Table.from_pylist([check.as_row() | common for check in checks], schema=CHECKS.schema)
    with clickhouse.connect(step.settings) as db:
        step.at("stage")
        staging = db.stage(step.run.pipeline, CHECKS, step.run.date, step.run.attempt, rows)
        step.at("check")
        step.check(
            db.check(step.run.pipeline, staging, CHECKS, step.run.date, rows.num_rows),
            remedy="two checks of the gate share a name",
        )
        step.at("swap")
        db.swap(step.run.pipeline, staging)
    digest = table_digest(rows, CHECKS.key)
    step.outputs.append(clickhouse_dataset(step.run.pipeline, CHECKS.name, rows.num_rows, digest))
