"""predict: score the events of D with the champion and store the tables in ClickHouse."""

from __future__ import annotations

from typing import NamedTuple

import pyarrow as pa

from jobs.core.errors import DataError
from jobs.core.facts import PredictFacts
from jobs.core.identity import before
from jobs.core.tables import Table
from jobs.serving import promotions
from jobs.serving.promotions import ChampionModel
from jobs.steps import records
from jobs.steps.frame import Phases, Result, Staged, Step
from jobs.steps.inputs import good_rows, read_table, scoring
from jobs.steps.models import load
from jobs.usecases.contract import FittedModel, UseCase
from jobs.usecases.discovery import find_usecase


class PredictInputs(NamedTuple):
    """The champion and its model, the events of D, inputs it looks at, and past predictions."""

    champion: ChampionModel
    model: FittedModel
    events: pa.Table
    seen: dict[str, pa.Table]
    past: pa.Table | None
    rows: int  # good rows of D


class Predicted(NamedTuple):
    champion: ChampionModel
    contents: dict[Table, pa.Table]
    events: int


def read(step: Step) -> PredictInputs:
    usecase = find_usecase(step.run.pipeline)
    champion = promotions.history(step.settings.postgres, step.run.pipeline).champion(
        step.run.date, inclusive=True
    )
    if champion is None:
        raise DataError(
            "there is no champion: no model has passed the gate up to this date",
            remedy="read the gate's reasons (`nightshift status`), fix training, then run train, "
            "gate and promote",
            section="there-is-no-champion",
        )
    model = load(step, champion.digest)
    events, seen = scoring(step, step.section, usecase.estimator().seen)
    rows = sum(rows.rows for rows in good_rows(step, usecase.features.examples, [step.run.date]))
    return PredictInputs(champion, model, events, seen, _past(step, usecase), rows)


def compute(step: Step, inputs: PredictInputs) -> Predicted:
    usecase, day = find_usecase(step.run.pipeline), step.run.date
    content = inputs.model.predict(inputs.events, inputs.past, inputs.seen, day, step.section)
    contents = {table: content[table.name] for table in usecase.predictions}
    return Predicted(inputs.champion, contents, inputs.rows)


def stage(step: Step, predicted: Predicted) -> Staged:
    champion = predicted.champion
    facts = PredictFacts.model_validate(
        {"model_version": champion.version, "model_date": str(champion.date)}
        | {table.name: rows.num_rows for table, rows in predicted.contents.items()}
    )
    result = Result(facts, model_digest=champion.digest)
    return records.stage(step, predicted.contents, result, predicted.events)


def _past(step: Step, usecase: UseCase) -> pa.Table | None:
    """The predictions of earlier days that the tables look back on; None if they do not."""
    estimator = usecase.estimator()
    if estimator.past is None:
        return None
    look_back = estimator.look_back(step.section)
    days = before(step.run.date, look_back.days)
    manifests = step.look_back("predict", days, look_back.max_missing)
    return read_table(step, usecase.prediction(estimator.past), manifests)


PHASES = Phases(read, compute, stage, prepare=Step.wait_for_day_before)
