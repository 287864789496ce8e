"""MLflow: training runs, registered versions, and the aliases that mirror `promotions`.

A model's identity is its digest, which is a tag of its version; MLflow's number is only a name.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from jobs.core import masking
from jobs.core.errors import DataError
from jobs.core.failures import explain
from jobs.core.log import logger
from jobs.core.settings import PROJECT, Settings

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.models.model import ModelInfo
    from xgboost import Booster

DIGEST_TAG = "model_digest"
SNAPSHOT_TAG = "snapshot_md5"
CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
TRAINING_SET = "training_set"  # folder of the snapshot's .dvc file in a run's artifacts


@dataclass(frozen=True)
class Training:
    """What a training logs in MLflow; without a `booster` the model is a pyfunc of `loader`."""

    booster: Booster | None
    data: bytes
    loader: str  # module with the `_load_pyfunc` that reads the bytes
    params: Mapping[str, object]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    artifacts: Path  # a folder to log
    example: pd.DataFrame  # a frame of features to infer the signature from
    requirements: Sequence[str] = field(default_factory=tuple)


@contextmanager
def connect_mlflow(settings: Settings) -> Iterator[MlflowClient]:
    """Open a client; StoreError if the server does not answer within a short time limit.

    ConfigError if it refuses the login, DataError if it lacks the requested run or version.
    """
    # MLflow retries for minutes by default; here the scheduler retries the step.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    import mlflow
    from mlflow.exceptions import MlflowException

    mlflow.set_tracking_uri(settings.mlflow)
    try:
        yield mlflow.MlflowClient(settings.mlflow)
    except (MlflowException, OSError) as error:  # OSError: from requests, for artifacts
        raise explain(error, settings.mlflow) from error


def version_of(client: MlflowClient, model: str, digest: str) -> str | None:
    """Return the number of the oldest registered version with this digest.

    None if there is none.
    """
    versions = client.search_model_versions(f"name = '{model}' and tags.{DIGEST_TAG} = '{digest}'")
    return str(min(int(version.version) for version in versions)) if versions else None


def register(client: MlflowClient, model: str, digest: str, training: Training) -> str:
    """Return the version of the model with `digest`; register it with a new run if necessary.

    If it is killed halfway, a run without a version remains, which nothing refers to; the next
    attempt creates another run.
    """
    if version := version_of(client, model, digest):
        return version
    import mlflow

    _experiment(client, model)
    with mlflow.start_run(
        run_name=f"{model} {training.tags['date']}", tags=dict(training.tags)
    ) as run:
        mlflow.log_params(dict(training.params))
        mlflow.log_metrics(
            {name: value for name, value in training.metrics.items() if value == value}
        )
        mlflow.log_artifacts(str(training.artifacts))
        logged = _log_model(training)
    _ensure_registered(client, model)
    # Tags are set in the same call: a version without its digest tag could never be found again.
    version = client.create_model_version(
        model,
        source=logged.model_uri,
        run_id=run.info.run_id,
        tags=dict(training.tags),
        model_id=logged.model_id,
    )
    return str(version.version)


def log_run(
    settings: Settings,
    experiment: str,
    params: Mapping[str, object],
    metrics: Mapping[str, float],
    artifacts: Mapping[str, object],
) -> str:
    """Log a run that belongs to no version; return its id.

    `artifacts` maps a file name to its content, written as JSON. NaN metrics are left out, since
    MLflow does not accept them.
    """
    with connect_mlflow(settings) as client:
        import mlflow

        _experiment(client, experiment)
        with mlflow.start_run() as run:
            mlflow.log_params(dict(params))
            mlflow.log_metrics({name: value for name, value in metrics.items() if value == value})
            for name, value in artifacts.items():
                mlflow.log_dict(value, name)
    return str(run.info.run_id)


def log_report(
    settings: Settings,
    experiment: str,
    day: str,
    metrics: Mapping[str, float],
    files: Mapping[str, bytes],
) -> str:
    """Log `files` (name: content) to the experiment's only run of a day.

    Return the first one's URL.

    An existing run gets the new files. Raises StoreError.
    """
    with connect_mlflow(settings) as client, TemporaryDirectory() as folder:
        number = _experiment(client, experiment)
        runs = client.search_runs([number], f"tags.date = '{day}'", max_results=1)
        run = (
            runs[0]
            if runs
            else client.create_run(number, tags={"date": day}, run_name=f"{experiment} {day}")
        )
        for name, data in files.items():
            (Path(folder) / name).write_bytes(data)
        client.log_artifacts(run.info.run_id, folder)
        for name, value in metrics.items():
            client.log_metric(run.info.run_id, name, value)
        client.set_terminated(run.info.run_id)
    page = f"{masking.public(settings.mlflow)}/#/experiments/{number}/runs/{run.info.run_id}"
    return f"{page}/artifacts/{next(iter(files))}"


def snapshot_of(client: MlflowClient, model: str, version: str, folder: Path) -> Path:
    """Download the `.dvc` file of a version's training set into `folder`; return its path."""
    registered = client.get_model_version(model, version)
    client.download_artifacts(registered.run_id, TRAINING_SET, str(folder))
    files = sorted((folder / TRAINING_SET).glob("*.dvc"))
    if not files:
        raise DataError(
            f"the run of {model} version {version} has no .dvc file",
            remedy="choose another version",
        )
    return files[0]


def project_aliases(
    settings: Settings,
    model: str,
    champion: str | None,
    previous: str | None,
    challenger: str | None = None,
) -> None:
    """Set the aliases to the versions with these digests; remove an alias without a digest.

    `challenger` None leaves that alias unchanged. A digest without a version only warns:
    `promotions` is authoritative, and the day's tables need no alias.
    """
    wanted = {CHAMPION: champion, PREVIOUS: previous} | (
        {CHALLENGER: challenger} if challenger else {}
    )
    with connect_mlflow(settings) as client:
        _ensure_registered(client, model)
        current = client.get_registered_model(model).aliases
        for alias, digest in wanted.items():
            version = version_of(client, model, digest) if digest else None
            if digest and not version:
                logger(pipeline=model).warning(
                    "no registered version has this digest", alias=alias, digest=digest
                )
            if version and str(current.get(alias)) != version:
                client.set_registered_model_alias(model, alias, version)
            if not version and alias in current:
                client.delete_registered_model_alias(model, alias)


def aliases_of(settings: Settings, model: str, digest: str) -> list[str]:
    """Return the sorted aliases of the version with this digest; [] if there is no such version."""
    with connect_mlflow(settings) as client:
        if (version := version_of(client, model, digest)) is None:
            return []
        named = client.get_registered_model(model).aliases
    return sorted(alias for alias, number in named.items() if str(number) == version)


def tag(settings: Settings, model: str, digest: str, name: str, value: str) -> None:
    """Tag the version with this digest, if there is one."""
    with connect_mlflow(settings) as client:
        if version := version_of(client, model, digest):
            client.set_model_version_tag(model, version, name, value)


CARD = "model_card.md"  # artifact of a run
DESCRIPTION = 5_000  # characters that MLflow accepts


def describe(settings: Settings, model: str, digest: str, card: str) -> None:
    """Make `card` the description of the version with this digest, and an artifact of its run.

    Nothing happens without such a version, or if it has this description already. A long card is
    cut, since MLflow refuses long descriptions.
    """
    text = (
        card
        if len(card) <= DESCRIPTION
        else f"{card[: DESCRIPTION - 80]}\n\n(The rest is in the run's {CARD}.)"
    )
    with connect_mlflow(settings) as client:
        version = version_of(client, model, digest)
        if version and (row := client.get_model_version(model, version)).description != text:
            client.update_model_version(model, version, description=text)
            _ensure_run(client, row.run_id)
            client.log_text(row.run_id, card, CARD)


def _experiment(client: MlflowClient, name: str) -> str:
    """Make the experiment active and return its id.

    A deleted one is restored with its runs; a permanently deleted or renamed one is created again.
    """
    import mlflow

    experiment = client.get_experiment_by_name(name)
    if experiment is not None and experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
        logger(pipeline=name).warning("restored this experiment, which was deleted in MLflow")
    return str(mlflow.set_experiment(name).experiment_id)


def _ensure_run(client: MlflowClient, run_id: str) -> None:
    """Restore the run if somebody deleted it, since a deleted run accepts no files."""
    if client.get_run(run_id).info.lifecycle_stage == "deleted":
        client.restore_run(run_id)
        logger().warning("restored this run, which was deleted in MLflow", run=run_id)


def _ensure_registered(client: MlflowClient, model: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(model)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _log_model(training: Training) -> ModelInfo:
    import mlflow
    from mlflow.models import infer_signature

    requirements = list(training.requirements)
    if training.booster is not None:
        signature = infer_signature(training.example, _predict(training.booster, training.example))
        return mlflow.xgboost.log_model(
            training.booster, name="model", signature=signature, pip_requirements=requirements
        )
    with TemporaryDirectory() as folder:
        data = Path(folder) / "model"
        data.write_bytes(training.data)
        return mlflow.pyfunc.log_model(
            name="model",
            loader_module=training.loader,
            data_path=str(data),
            code_paths=[str(PROJECT / "jobs")],
            signature=infer_signature(training.example),
            pip_requirements=requirements,
        )


def _predict(booster: Booster, example: pd.DataFrame) -> np.ndarray:
    import xgboost

    types = dict(zip(booster.feature_names, booster.feature_types, strict=True))
    matrix = xgboost.DMatrix(
        example[booster.feature_names], feature_types=list(types.values()), enable_categorical=True
    )
    scores: np.ndarray = booster.predict(matrix)
    return scores
