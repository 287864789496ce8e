"""What steps share about models: where the lake keeps them, and what they were fitted on and judged on."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from jobs.serving import promotions
from jobs.serving.promotions import Champion
from jobs.steps.frame import Step
from jobs.usecases.contract import FittedModel
from jobs.usecases.discovery import find_usecase


def split(table: pa.Table) -> tuple[pa.Table, pa.Table]:
    """(train, holdout) of a training set."""
    train, holdout = (table.filter(pc.equal(table["split"], part)) for part in ("train", "holdout"))
    return train, holdout


def model_path(pipeline: str, digest: str) -> str:
    """Where the lake keeps the model with this digest: predict and gate need no MLflow."""
    return f"{pipeline}/models/{digest}"


def reference_path(pipeline: str, digest: str) -> str:
    """Where the lake keeps what drift is measured against: a sample of what the model was fitted and judged on."""
    return f"{pipeline}/models/{digest}.reference.parquet"


def card_path(pipeline: str, digest: str) -> str:
    """Where the lake keeps the model card of a model that was promoted."""
    return f"{pipeline}/models/{digest}.card.md"


def opponent(step: Step) -> Champion | None:
    """The champion as of the day before: a re-run of D meets the one that D met, not D's own winner."""
    return promotions.champion(
        step.settings.postgres, step.run.pipeline, step.run.date, inclusive=False
    )


def load(step: Step, digest: str) -> FittedModel:
    """The model with this digest; DataError when its file is gone."""
    data = step.lake.read_bytes(model_path(step.run.pipeline, digest))
    return find_usecase(step.run.pipeline).estimator().load(data)
