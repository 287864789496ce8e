"""The sections of params.yaml that movies' steps read."""

from __future__ import annotations

from pydantic import Field

from jobs.core import params
from jobs.core.params import Empty, Section


class MoviesValidateParams(params.ValidateParams):
    scale: tuple[float, float] = Field((0.0, 10.0), description="least and greatest rating")


class SnapshotParams(Section):
    """The days of D's training set, newest last: train_days, then holdout_days, the last of which is D."""

    train_days: int = Field(365, ge=2, description="days the model is fitted on")
    holdout_days: int = Field(14, ge=1, description="days the gate judges on; no model is fitted on them")
    relevant_from: float = Field(7.0, description="rating from which a movie was worth recommending")


class PredictParams(Section):
    history_days: int = Field(
        379,
        ge=1,
        description="days, D included, of what a user has seen; whoever did nothing in them gets no row",
    )


PARAMS: dict[str, type[Section]] = {
    "extract": params.ExtractParams,
    "validate": MoviesValidateParams,
    "build_features": Empty,
    "snapshot": SnapshotParams,
    "gate": params.GateParams,
    "promote": params.PromoteParams,
    "predict": PredictParams,
    "publish": params.PublishParams,
    "verify": params.VerifyParams,
    "rollback": Empty,
    "reconcile": params.PublishParams,
}
