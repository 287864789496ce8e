"""predict: score the events of D with the champion and store the tables in ClickHouse."""

from __future__ import annotations

from datetime import timedelta

import pyarrow as pa

from jobs.core.errors import DataError
from jobs.serving import promotions
from jobs.steps.frame import Step
from jobs.steps.inputs import good_rows, read_table, scoring
from jobs.steps.models import load
from jobs.steps.records import clickhouse_dataset
from jobs.stores import clickhouse
from jobs.usecases.discovery import features, predictions, tables


def run(step: Step) -> None:
    pipeline, day = step.run.pipeline, step.run.date
    usecase = predictions(pipeline)
    step.at("window")
    step.wait_for_day_before()
    champion = promotions.champion(step.settings.postgres, pipeline, day, inclusive=True)
    if champion is None:
        raise DataError(
            "there is no champion: no model has passed the gate up to this date",
            remedy="read the gate's reasons (`nightshift status`), mend training, then run train, gate and promote",
            section="there-is-no-champion",
        )
    step.at("read")
    model = load(step, champion.digest)
    events, seen = scoring(step, step.section, usecase.SEEN)
    past = _past(step)
    step.at("compute")
    content = usecase.build(model, events, past, seen, day, step.section)
    expected = good_rows(step, features(pipeline).EXAMPLES, [day])
    _write(step, content, sum(dataset.rows for dataset in expected))
    step.model_digest = champion.digest
    step.facts |= {"model_version": champion.version, "model_date": str(champion.date)}


def _past(step: Step) -> pa.Table | None:
    """The predictions of the days before D that the tables look back on."""
    usecase, pipeline = predictions(step.run.pipeline), step.run.pipeline
    if usecase.PAST is None:
        return None
    days = [
        step.run.date - timedelta(days=n) for n in range(usecase.look_back(step.section), 0, -1)
    ]
    table = next(table for table in tables(pipeline).PREDICTIONS if table.name == usecase.PAST)
    manifests = step.look_back("predict", days, step.section.max_missing_days)  # type: ignore[attr-defined]
    return read_table(step, table, manifests)


def _write(step: Step, content: dict[str, pa.Table], events: int) -> None:
    pipeline, day = step.run.pipeline, step.run.date
    with clickhouse.connect(step.settings) as db:
        step.at("stage")
        prediction_tables = tables(pipeline).PREDICTIONS
        staged = {
            t: db.stage(pipeline, t, day, step.run.attempt, content[t.name])
            for t in prediction_tables
        }
        step.at("check")
        for table, staging in staged.items():
            expected = events if table.kind == "event" else content[table.name].num_rows
            step.check(
                db.check(pipeline, staging, table, day, expected),
                remedy="this is a defect of predictions.build: nothing was swapped, what was served stands",
            )
        step.at("swap")
        for table, staging in staged.items():
            rows = content[table.name]
            db.swap(pipeline, staging)
            digest = table.digest(rows)
            step.outputs.append(clickhouse_dataset(pipeline, table.name, rows.num_rows, digest))
            step.facts[table.name] = rows.num_rows
