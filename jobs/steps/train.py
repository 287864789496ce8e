"""train: fit the challenger on the snapshot of D and register it. Needs the lake and MLflow."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pyarrow as pa

from jobs.core.digest import bytes_digest
from jobs.core.facts import SnapshotFacts, TrainFacts
from jobs.core.manifest import Dataset
from jobs.core.params import TrainParams
from jobs.evaluation import reference
from jobs.evaluation.judged import Judged
from jobs.evaluation.reference import Reference
from jobs.steps.frame import Phases, Result, Staged, Step, code_version
from jobs.steps.models import model_path, reference_path, split
from jobs.stores import registry
from jobs.training import checkpoints, device
from jobs.training.checkpoints import LakeCheckpoints
from jobs.usecases.contract import FittedModel
from jobs.usecases.discovery import find_usecase


class TrainInputs(NamedTuple):
    """The snapshot, its training set, the good rows of D, and earlier checkpoints."""

    snapshot: SnapshotFacts
    train: pa.Table
    holdout: pa.Table
    beside: list[pa.Table]
    device: str
    checkpoints: LakeCheckpoints


class Trained(NamedTuple):
    """The challenger, its result on the holdout, and the reference for drift."""

    snapshot: SnapshotFacts
    train: pa.Table
    device: str
    fitted: FittedModel
    judged: Judged
    data: bytes
    digest: str
    reference: Reference


def read(step: Step) -> TrainInputs:
    estimator = find_usecase(step.run.pipeline).estimator()
    snapshot = step.manifest("snapshot")
    train, holdout = split(step.read_table(snapshot.output("training_set")))
    beside = [step.read_table(step.manifest("validate").output(name)) for name in estimator.beside]
    processor = device.resolve(step.params(TrainParams).device, *estimator.gpu_libraries)
    digests = [dataset.digest for dataset in step.inputs]
    kept = checkpoints.of(step.lake, step.run.pipeline, digests, step.section.digest, processor)
    return TrainInputs(SnapshotFacts.of(snapshot), train, holdout, beside, processor, kept)


def compute(step: Step, inputs: TrainInputs) -> Trained:
    """Fit and judge; only checkpoints are written on the way."""
    usecase = find_usecase(step.run.pipeline)
    estimator = usecase.estimator()
    fitted = estimator.fit(inputs.train, step.section, inputs.beside, inputs.checkpoints)
    judged = fitted.judge(inputs.train, inputs.holdout)
    data = fitted.to_bytes()
    ref = reference.of(
        estimator.watchlist,
        usecase.features.key,
        estimator.examples,
        fitted.with_predictions,
        inputs.train,
        inputs.holdout,
        judged.summary(),
    )
    return Trained(
        inputs.snapshot,
        inputs.train,
        inputs.device,
        fitted,
        judged,
        data,
        bytes_digest(data),
        ref,
    )


def stage(step: Step, trained: Trained) -> Staged:
    path, rows = model_path(step.run.pipeline, trained.digest), trained.train.num_rows
    step.lake.write_bytes(path, trained.data)
    model = Dataset(name="model", path=path, rows=rows, digest=trained.digest)
    outputs = [model, _write_reference(step, trained.digest, trained.reference)]
    metrics = trained.judged.summary()
    step.log.info(
        "judged on the holdout", metrics={name: round(value, 4) for name, value in metrics.items()}
    )

    def swap() -> Result:
        facts = TrainFacts.model_validate(
            {
                "device": trained.device,
                "model_version": _register(step, trained),
                "metrics": metrics,
            }
            | trained.fitted.decisions()
        )
        return Result(facts, outputs, trained.digest)

    return Staged(swap)


def _write_reference(step: Step, digest: str, ref: Reference) -> Dataset:
    """Write the reference, with which check_drift compares later days, next to the model."""
    path, data = reference_path(step.run.pipeline, digest), ref.to_bytes()
    step.lake.write_bytes(path, data)
    return Dataset(name="reference", path=path, rows=ref.rows.num_rows, digest=bytes_digest(data))


def _register(step: Step, trained: Trained) -> str:
    """Register the model in MLflow; returns its version."""
    usecase, fitted = find_usecase(step.run.pipeline), trained.fitted
    with registry.connect_mlflow(step.settings) as client, TemporaryDirectory() as folder:
        fitted.report(trained.judged, Path(folder))
        pointer = Path(folder) / registry.TRAINING_SET / f"{step.run.date}.parquet.dvc"
        pointer.parent.mkdir()
        pointer.write_text(trained.snapshot.dvc)
        training = registry.Training(
            booster=fitted.booster,
            data=trained.data,
            loader=f"jobs.usecases.{step.run.pipeline}.model",
            params=fitted.parameters(step.section)
            | {"device": device.resolve(step.params(TrainParams).device)},
            metrics=trained.judged.summary(),
            tags={
                "date": str(step.run.date),
                registry.DIGEST_TAG: trained.digest,
                registry.SNAPSHOT_TAG: trained.snapshot.snapshot_md5,
                "params_digest": step.section.digest,
                "code_version": code_version(),
                "attempt": step.run.attempt,
            },
            artifacts=Path(folder),
            example=fitted.example(trained.train),
            requirements=usecase.estimator().requirements,
        )
        return registry.register(client, usecase.name, trained.digest, training)


PHASES = Phases(read, compute, stage)
