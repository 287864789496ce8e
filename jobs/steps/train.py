"""train: fit the challenger on the snapshot of D and register it. Needs the lake and MLflow."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

from jobs.core.digest import bytes_digest
from jobs.core.facts import SnapshotFacts, TrainFacts
from jobs.core.manifest import Dataset
from jobs.core.params import TrainParams
from jobs.evaluation import reference
from jobs.evaluation.judged import Judged
from jobs.evaluation.reference import Reference
from jobs.steps.frame import Step, code_version
from jobs.steps.models import model_path, reference_path, split
from jobs.stores import registry
from jobs.training import checkpoints, device
from jobs.usecases.contract import FittedModel, UseCase
from jobs.usecases.discovery import find_usecase


def run(step: Step) -> None:
    usecase = find_usecase(step.run.pipeline)
    estimator = usecase.estimator()
    step.at("window")
    snapshot = step.manifest("snapshot")
    step.at("read")
    dataset = snapshot.output("training_set")
    step.inputs.append(dataset)
    table = step.lake.read_table(dataset)
    train, holdout = split(table)
    beside = [_of_the_day(step, name) for name in estimator.beside]
    step.at("compute")
    processor = device.resolve(step.params(TrainParams).device, *estimator.gpu_libraries)
    kept = checkpoints.of(
        step.lake,
        step.run.pipeline,
        [dataset.digest for dataset in step.inputs],
        step.section.digest,
        processor,
    )
    fitted = estimator.fit(train, step.section, beside, kept)
    judged = fitted.judge(train, holdout)
    metrics = judged.summary()
    data = fitted.to_bytes()
    digest = bytes_digest(data)
    step.at("stage")
    path = model_path(step.run.pipeline, digest)
    step.lake.write_bytes(path, data)
    ref = _write_reference(
        step,
        digest,
        reference.of(
            estimator.watchlist,
            usecase.features.key,
            estimator.examples,
            fitted.with_predictions,
            train,
            holdout,
            metrics,
        ),
    )
    step.at("check")
    step.log.info(
        "judged on the holdout", metrics={name: round(value, 4) for name, value in metrics.items()}
    )
    step.at("swap")
    version = _register(step, usecase, SnapshotFacts.of(snapshot), fitted, data, judged, train)
    step.model_digest = digest
    step.outputs.append(Dataset(name="model", path=path, rows=train.num_rows, digest=digest))
    step.outputs.append(ref)
    step.facts = TrainFacts.model_validate(
        {"device": processor, "model_version": version, "metrics": metrics} | fitted.decisions()
    )


def _write_reference(step: Step, digest: str, ref: Reference) -> Dataset:
    """Write the reference, with which check_drift compares later days, next to the model."""
    path, data = reference_path(step.run.pipeline, digest), ref.to_bytes()
    step.lake.write_bytes(path, data)
    return Dataset(name="reference", path=path, rows=ref.rows.num_rows, digest=bytes_digest(data))


def _of_the_day(step: Step, source: str) -> pa.Table:
    """The good rows of a source on D."""
    dataset = step.manifest("validate").output(source)
    step.inputs.append(dataset)
    return step.lake.read_table(dataset)


def _register(
    step: Step,
    usecase: UseCase,
    snapshot: SnapshotFacts,
    fitted: FittedModel,
    data: bytes,
    judged: Judged,
    train: pa.Table,
) -> str:
    digest = bytes_digest(data)
    with registry.connect(step.settings) as client, TemporaryDirectory() as folder:
        fitted.report(judged, Path(folder))
        pointer = Path(folder) / registry.TRAINING_SET / f"{step.run.date}.parquet.dvc"
        pointer.parent.mkdir()
        pointer.write_text(snapshot.dvc)
        training = registry.Training(
            booster=fitted.booster,
            data=data,
            loader=f"jobs.usecases.{step.run.pipeline}.model",
            params=fitted.parameters(step.section)
            | {"device": device.resolve(step.params(TrainParams).device)},
            metrics=judged.summary(),
            tags={
                "date": str(step.run.date),
                registry.DIGEST_TAG: digest,
                registry.SNAPSHOT_TAG: snapshot.snapshot_md5,
                "params_digest": step.section.digest,
                "code_version": code_version(),
                "attempt": step.run.attempt,
            },
            artifacts=Path(folder),
            example=fitted.example(train),
            requirements=usecase.estimator().requirements,
        )
        return registry.register(client, usecase.name, digest, training)
