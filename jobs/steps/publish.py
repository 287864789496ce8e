"""publish: load the day's predictions into PostgreSQL and Redis as a new version, then move the
pointers to it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from jobs.core.errors import DataError
from jobs.core.facts import PredictFacts, PublishFacts, Reconciled
from jobs.core.manifest import Dataset, Manifest, utc_now
from jobs.core.params import PublishParams
from jobs.core.tables import Table
from jobs.serving import retention
from jobs.serving.publish import Edition, Published, Publishing
from jobs.serving.stores import LostTables
from jobs.steps.frame import Phases, Requirement, Result, Staged, Step
from jobs.steps.reconcile import reconcile, serving
from jobs.stores import clickhouse
from jobs.usecases.discovery import find_usecase


def prepare(step: Step) -> Reconciled:
    """Reconcile first, so that this publish starts from stores that agree."""
    with serving(step) as both:
        try:
            return reconcile(step, both, step.params(PublishParams).redis_batch)
        except LostTables as error:
            step.log.warning(
                "the served version could not be reconciled before this publish", error=str(error)
            )
            return Reconciled()


def read(step: Step) -> tuple[Manifest, dict[Table, pa.Table]]:
    predict = step.manifest("predict")
    return predict, read_predictions(step, predict)


def compute(step: Step, inputs: tuple[Manifest, dict[Table, pa.Table]]) -> Edition:
    predict, contents = inputs
    return Edition(
        step.run.date,
        contents,
        predict.model_digest,
        PredictFacts.of(predict).model_version,
        {table.name: predict.output(table.name).digest for table in contents},
    )


def stage(step: Step, edition: Edition) -> Staged:
    both = step.open(serving(step))
    publishing = Publishing(both, edition, step.params(PublishParams), utc_now())
    missing = publishing.load()
    mended: list[Table] = []

    def check() -> Iterator[Requirement]:
        yield Requirement(publishing.attach(missing), remedy="run publish again")
        mended.extend(publishing.mend(missing))

    return Staged(lambda: _result(step, publishing.flip([*missing, *mended]), edition), check)


def _result(step: Step, done: Published, edition: Edition) -> Result:
    facts = facts_of(done)
    if facts.warning:
        step.log.warning(
            facts.warning,
            remedy="fix the model or the data and predict again, or roll back to it by name",
        )
    outputs = [_dataset(step.run.pipeline, dataset, done.version) for dataset in step.inputs]
    return Result(facts, outputs, edition.model_digest)


def facts_of(done: Published) -> PublishFacts:
    warning = f"{done.version} was withdrawn by a rollback and is not served"
    return PublishFacts(
        version=done.version,
        state=done.state,
        served=done.served,
        loaded=done.loaded,
        dropped=done.dropped,
        retention="" if done.retention_complete else retention.WAITS,
        served_version=done.version if done.served else None,
        warning=warning if done.withdrawn else "",
    )


def read_predictions(step: Step, predict: Manifest) -> dict[Table, pa.Table]:
    """The predictions of D, verified against the manifest of predict."""
    contents = {}
    with clickhouse.connect_clickhouse(step.settings) as db:
        for table in find_usecase(step.run.pipeline).predictions:
            dataset = predict.output(table.name)
            contents[table] = db.read_partition(step.run.pipeline, table, step.run.date)
            if not table.matches(contents[table], dataset.digest):
                raise DataError(
                    f"{table.name} of {step.run.date} is not what {predict.name} says it wrote",
                    remedy="predict of that day is in progress or was killed: run it again",
                    input=dataset.path,
                )
            step.use(dataset)
    return contents


def _dataset(pipeline: str, predicted: Dataset, version: str) -> Dataset:
    return predicted.model_copy(update={"path": f"postgres:{pipeline}.{predicted.name}@{version}"})


PHASES = Phases(read, compute, stage, prepare)
