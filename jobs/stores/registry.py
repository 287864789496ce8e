"""MLflow: runs of training, registered versions, and the aliases that mirror `promotions`.

A model's identity is its digest, a tag of its version; MLflow's number is only a name for it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from jobs.core import masking
from jobs.core.errors import DataError
from jobs.core.failures import explain
from jobs.core.log import logger
from jobs.core.settings import PROJECT, Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

DIGEST_TAG = "model_digest"
SNAPSHOT_TAG = "snapshot_md5"
CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
TRAINING_SET = "training_set"  # folder of the snapshot's .dvc file among a run's artifacts


@dataclass(frozen=True)
class Training:
    """What one training leaves in MLflow. Without a `booster` the model is its bytes, as a pyfunc of `loader`."""

    booster: Any | None
    data: bytes
    loader: str  # module whose `_load_pyfunc` reads the bytes
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    artifacts: Path  # a folder, logged as it is
    example: Any  # a frame of features, from which the signature is inferred
    requirements: Sequence[str] = field(default_factory=tuple)


@contextmanager
def connect(settings: Settings) -> Iterator[MlflowClient]:
    """A client; StoreError when the server does not answer, quickly enough for a night to go on.

    ConfigError when it refuses, DataError when it lacks what was asked for.
    """
    # MLflow retries for minutes by default; a store that is down is the scheduler's to retry.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    import mlflow
    from mlflow.exceptions import MlflowException

    mlflow.set_tracking_uri(settings.mlflow)
    try:
        yield mlflow.MlflowClient(settings.mlflow)
    except (MlflowException, OSError) as error:  # the latter of requests, for artifacts
        raise explain(error, settings.mlflow) from error


def version_of(client: MlflowClient, model: str, digest: str) -> str | None:
    """The number of the registered version that carries `digest`, the oldest if there are several."""
    found = client.search_model_versions(f"name = '{model}' and tags.{DIGEST_TAG} = '{digest}'")
    return str(min(int(version.version) for version in found)) if found else None


def register(client: MlflowClient, model: str, digest: str, training: Training) -> str:
    """The version of the model with `digest`: the registered one where there is one, else a new run and version.

    Killed half-way it leaves a run without a version, which nothing refers to; the next attempt makes its own.
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
    # Tags come with the version in one call: a version without its digest could never be found again.
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
    params: Mapping[str, Any],
    metrics: Mapping[str, float],
    artifacts: Mapping[str, Any],
) -> str:
    """The id of a new run that belongs to no version; each of `artifacts` is a file's name and what it holds as JSON.

    Metrics that are NaN are left out: MLflow keeps none.
    """
    with connect(settings) as client:
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
    """The address of the first of `files` (by name) as artifacts of the one run that `experiment` has of a day.

    A run that is there already gets the new files. Raises StoreError.
    """
    with connect(settings) as client, TemporaryDirectory() as folder:
        found = _experiment(client, experiment)
        runs = client.search_runs([found], f"tags.date = '{day}'", max_results=1)
        run = (
            runs[0]
            if runs
            else client.create_run(found, tags={"date": day}, run_name=f"{experiment} {day}")
        )
        for name, data in files.items():
            (Path(folder) / name).write_bytes(data)
        client.log_artifacts(run.info.run_id, folder)
        for name, value in metrics.items():
            client.log_metric(run.info.run_id, name, value)
        client.set_terminated(run.info.run_id)
    return f"{masking.public(settings.mlflow)}/#/experiments/{found}/runs/{run.info.run_id}/artifacts/{next(iter(files))}"


def snapshot_of(client: MlflowClient, model: str, version: str, folder: Path) -> Path:
    """The `.dvc` file of the snapshot that a version was trained on, downloaded into `folder`."""
    found = client.get_model_version(model, version)
    client.download_artifacts(found.run_id, TRAINING_SET, str(folder))
    files = sorted((folder / TRAINING_SET).glob("*.dvc"))
    if not files:
        raise DataError(
            f"the run of {model} version {version} has no .dvc file", remedy="pick another version"
        )
    return files[0]


def project_aliases(
    settings: Settings,
    model: str,
    champion: str | None,
    previous: str | None,
    challenger: str | None = None,
) -> None:
    """Set the aliases to the versions with these digests; an alias without a digest is removed.

    `challenger` None leaves that alias as it is. A digest that no version carries is a warning: `promotions`
    is the truth, and the day's tables need no alias.
    """
    wanted = {CHAMPION: champion, PREVIOUS: previous} | (
        {CHALLENGER: challenger} if challenger else {}
    )
    with connect(settings) as client:
        _ensure_registered(client, model)
        current = client.get_registered_model(model).aliases
        for alias, digest in wanted.items():
            version = version_of(client, model, digest) if digest else None
            if digest and not version:
                logger(pipeline=model).warning(
                    "no registered version carries this digest", alias=alias, digest=digest
                )
            if version and str(current.get(alias)) != version:
                client.set_registered_model_alias(model, alias, version)
            if not version and alias in current:
                client.delete_registered_model_alias(model, alias)


def aliases_of(settings: Settings, model: str, digest: str) -> list[str]:
    """The aliases that name the version with this digest, sorted; none where none carries it."""
    with connect(settings) as client:
        if (version := version_of(client, model, digest)) is None:
            return []
        named = client.get_registered_model(model).aliases
    return sorted(alias for alias, number in named.items() if str(number) == version)


def tag(settings: Settings, model: str, digest: str, name: str, value: str) -> None:
    """Tag the version with this digest; nothing where none carries it."""
    with connect(settings) as client:
        if version := version_of(client, model, digest):
            client.set_model_version_tag(model, version, name, value)


CARD = "model_card.md"  # among a run's artifacts
DESCRIPTION = 5_000  # characters


def describe(settings: Settings, model: str, digest: str, card: str) -> None:
    """Make `card` the description of the version with this digest, and an artifact of its run; nothing where none has it.

    A version that is described so already is left alone. MLflow cuts no description, it refuses a long one.
    """
    text = (
        card
        if len(card) <= DESCRIPTION
        else f"{card[: DESCRIPTION - 80]}\n\n(The rest is in the run's {CARD}.)"
    )
    with connect(settings) as client:
        version = version_of(client, model, digest)
        if version and (found := client.get_model_version(model, version)).description != text:
            client.update_model_version(model, version, description=text)
            _ensure_run(client, found.run_id)
            client.log_text(found.run_id, card, CARD)


def _experiment(client: MlflowClient, name: str) -> str:
    """The id of the experiment that runs go to from now on; one that was deleted is restored, with its runs.

    One that was deleted for good, or renamed, is made anew.
    """
    import mlflow

    found = client.get_experiment_by_name(name)
    if found is not None and found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
        logger(pipeline=name).warning("somebody deleted this experiment in MLflow: it was restored")
    return str(mlflow.set_experiment(name).experiment_id)


def _ensure_run(client: MlflowClient, run_id: str) -> None:
    """Restore the run where somebody deleted it: a deleted one takes no files."""
    if client.get_run(run_id).info.lifecycle_stage == "deleted":
        client.restore_run(run_id)
        logger().warning("somebody deleted this run in MLflow: it was restored", run=run_id)


def _ensure_registered(client: MlflowClient, model: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(model)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _log_model(training: Training) -> Any:
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


def _predict(booster: Any, example: Any) -> Any:
    import xgboost

    types = dict(zip(booster.feature_names, booster.feature_types, strict=True))
    matrix = xgboost.DMatrix(
        example[booster.feature_names], feature_types=list(types.values()), enable_categorical=True
    )
    return booster.predict(matrix)
