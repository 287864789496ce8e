"""publish: load the day's predictions into PostgreSQL and Redis as a new version, then move the
pointers to it.
"""

from __future__ import annotations

import pyarrow as pa

from jobs.core.errors import DataError
from jobs.core.facts import PredictFacts, PublishFacts, Reconciled
from jobs.core.manifest import Dataset, Manifest, utc_now
from jobs.core.params import PublishParams
from jobs.core.tables import Table
from jobs.serving import retention, stores
from jobs.serving.publish import Edition, publish
from jobs.serving.stores import LostTables
from jobs.steps.frame import Step
from jobs.steps.reconcile import reconcile
from jobs.stores import clickhouse
from jobs.usecases.discovery import find_usecase


def run(step: Step) -> None:
    params, pipeline = step.params(PublishParams), step.run.pipeline
    with stores.connect(
        step.settings.postgres, step.settings.redis, pipeline, find_usecase(pipeline).predictions
    ) as both:
        step.at("window")
        reconciled = Reconciled()
        try:
            reconciled = reconcile(step, both, params.redis_batch)
        except LostTables as error:
            step.log.warning(
                "the served version could not be reconciled before this publish", error=str(error)
            )
        predict = step.manifest("predict")
        step.at("read")
        contents = read_predictions(step, predict)
        step.at("compute")
        edition = Edition(
            step.run.date,
            contents,
            predict.model_digest,
            PredictFacts.of(predict).model_version,
            {table.name: predict.output(table.name).digest for table in contents},
        )
        done = publish(both, edition, params, utc_now(), step.at)
    step.checks += done.checks
    step.model_digest = predict.model_digest
    step.outputs += [
        _dataset(pipeline, predict.output(table.name), done.version) for table in contents
    ]
    warning = f"{done.version} was withdrawn by a rollback and is not served"
    if done.withdrawn:
        step.log.warning(
            warning,
            remedy="fix the model or the data and predict again, or roll back to it by name",
        )
    step.facts = PublishFacts(
        version=done.version,
        state=done.state,
        served=done.served,
        loaded=done.loaded,
        dropped=done.dropped,
        retention="" if done.retention_complete else retention.WAITS,
        reloaded=reconciled.reloaded,
        served_version=done.version if done.served else reconciled.served_version,
        aliases=reconciled.aliases,
        warning=warning if done.withdrawn else "",
    )


def read_predictions(step: Step, predict: Manifest) -> dict[Table, pa.Table]:
    """The predictions of D, verified against the manifest of predict."""
    contents = {}
    with clickhouse.connect(step.settings) as db:
        for table in find_usecase(step.run.pipeline).predictions:
            dataset = predict.output(table.name)
            contents[table] = db.read_partition(step.run.pipeline, table, step.run.date)
            if not table.matches(contents[table], dataset.digest):
                raise DataError(
                    f"{table.name} of {step.run.date} is not what {predict.name} says it wrote",
                    remedy="predict of that day is in progress or was killed: run it again",
                    input=dataset.path,
                )
            step.inputs.append(dataset)
    return contents


def _dataset(pipeline: str, predicted: Dataset, version: str) -> Dataset:
    return predicted.model_copy(update={"path": f"postgres:{pipeline}.{predicted.name}@{version}"})
