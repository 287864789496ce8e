"""predict: score the events of D with the champion and store the tables in ClickHouse."""

from __future__ import annotations

import pyarrow as pa

from jobs.core.errors import DataError
from jobs.core.facts import PredictFacts
from jobs.core.identity import before
from jobs.serving import promotions
from jobs.steps.frame import Step
from jobs.steps.inputs import good_rows, read_table, scoring
from jobs.steps.models import load
from jobs.steps.records import clickhouse_dataset
from jobs.stores import clickhouse
from jobs.usecases.contract import UseCase
from jobs.usecases.discovery import find_usecase


def run(step: Step) -> None:
    pipeline, day = step.run.pipeline, step.run.date
    usecase = find_usecase(pipeline)
    step.at("window")
    step.wait_for_day_before()
    champion = promotions.history(step.settings.postgres, pipeline).champion(day, inclusive=True)
    if champion is None:
        raise DataError(
            "there is no champion: no model has passed the gate up to this date",
            remedy="read the gate's reasons (`nightshift status`), fix training, then run train, "
            "gate and promote",
            section="there-is-no-champion",
        )
    step.at("read")
    model = load(step, champion.digest)
    events, seen = scoring(step, step.section, usecase.estimator().seen)
    past = _past(step, usecase)
    step.at("compute")
    content = model.predict(events, past, seen, day, step.section)
    expected = good_rows(step, usecase.features.examples, [day])
    _write(step, usecase, content, sum(dataset.rows for dataset in expected))
    step.model_digest = champion.digest
    step.facts = PredictFacts.model_validate(
        {"model_version": champion.version, "model_date": str(champion.date)}
        | {dataset.name: dataset.rows for dataset in step.outputs}
    )


def _past(step: Step, usecase: UseCase) -> pa.Table | None:
    """The predictions of earlier days that the tables look back on; None if they do not."""
    estimator = usecase.estimator()
    if estimator.past is None:
        return None
    look_back = estimator.look_back(step.section)
    days = before(step.run.date, look_back.days)
    manifests = step.look_back("predict", days, look_back.max_missing)
    return read_table(step, usecase.prediction(estimator.past), manifests)


def _write(step: Step, usecase: UseCase, content: dict[str, pa.Table], events: int) -> None:
    pipeline, day = step.run.pipeline, step.run.date
    with clickhouse.connect(step.settings) as db:
        step.at("stage")
        staged = {
            table: db.stage(pipeline, table, day, step.run.attempt, content[table.name])
            for table in usecase.predictions
        }
        step.at("check")
        for table, staging in staged.items():
            expected = events if table.kind == "event" else content[table.name].num_rows
            step.check(
                db.check(pipeline, staging, table, day, expected),
                remedy="report a defect of predictions.build; the stored rows did not change",
            )
        step.at("swap")
        for table, staging in staged.items():
            rows = content[table.name]
            db.swap(pipeline, staging)
            digest = table.digest(rows)
            step.outputs.append(clickhouse_dataset(pipeline, table.name, rows.num_rows, digest))
