"""Models in the lake: their paths, and the parts of a training set."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from jobs.serving import promotions
from jobs.serving.promotions import ChampionModel
from jobs.steps.frame import Step
from jobs.usecases.contract import FittedModel
from jobs.usecases.discovery import find_usecase


def split(table: pa.Table) -> tuple[pa.Table, pa.Table]:
    """(train, holdout) of a training set."""
    train, holdout = (table.filter(pc.equal(table["split"], part)) for part in ("train", "holdout"))
    return train, holdout


def model_path(pipeline: str, digest: str) -> str:
    """The lake path of a model by its digest. With it, predict and gate do not need MLflow."""
    return f"{pipeline}/models/{digest}"


def reference_path(pipeline: str, digest: str) -> str:
    """The lake path of a model's reference: a sample of its training and holdout data."""
    return f"{pipeline}/models/{digest}.reference.parquet"


def card_path(pipeline: str, digest: str) -> str:
    """The lake path of the model card of a promoted model."""
    return f"{pipeline}/models/{digest}.card.md"


def opponent(step: Step) -> ChampionModel | None:
    """The champion as of the day before, so that a rerun of D does not meet D's own winner."""
    return promotions.history(step.settings.postgres, step.run.pipeline).champion(
        step.run.date, inclusive=False
    )


def load(step: Step, digest: str) -> FittedModel:
    """The model with this digest. Raises DataError if its file is missing."""
    data = step.lake.read_bytes(model_path(step.run.pipeline, digest))
    return find_usecase(step.run.pipeline).estimator().load(data)
