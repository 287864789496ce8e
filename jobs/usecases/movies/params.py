"""The sections of params.yaml that movies' steps read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import Field, field_validator

from jobs.core import params
from jobs.core.params import Section

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]


# The metrics of a model (evaluation.py), also by algorithm and slice, and those that compare two
# models.
COMPARED = ("ndcg_at_10", "map_at_10", "precision_at_10", "recall_at_10", "recall_at_20")
_OVERALL = (*COMPARED, "coverage", "novelty")
_ALGORITHMS, _SLICES = (
    ("hybrid", "collaborative", "content", "popular"),
    ("cold", "light", "medium", "heavy"),
)
METRICS = (
    "users",
    *_OVERALL,
    *(f"{algorithm}.{metric}" for algorithm in _ALGORITHMS for metric in _OVERALL),
    *(f"users.{part}" for part in _SLICES),
    *(f"{algorithm}.{part}.ndcg_at_10" for algorithm in _ALGORITHMS for part in _SLICES),
)


class MoviesValidateParams(params.ValidateParams):
    scale: tuple[float, float] = Field((0.0, 10.0), description="least and greatest rating")

    @field_validator("scale")
    @classmethod
    def _rises(cls, scale: tuple[float, float]) -> tuple[float, float]:
        if scale[0] >= scale[1]:
            raise ValueError("the least rating must be below the greatest")
        return scale


class MoviesSnapshotParams(Section):
    """The days of D's training set: train_days, then holdout_days, the last of which is D."""

    train_days: int = Field(365, ge=2, description="days the model is fitted on")
    holdout_days: int = Field(
        14, ge=1, description="days the gate judges on; no model is fitted on them"
    )


GPU_LIBRARIES = ("cupy",)  # what the model needs to use a GPU


class MoviesCheckDriftParams(params.CheckDriftParams):
    min_rows: int = Field(
        200, ge=2, description="values below which a column is too small to judge"
    )
    metric: str = Field("ndcg_at_10", description="the metric of the champion whose loss is decay")


class MoviesTrainParams(params.TrainParams):
    rating_scale: float = Field(
        10, gt=0, description="the best rating there is; strength is its square root"
    )
    view_strength: float = Field(
        0.5, gt=0, le=1, description="strength of a view, the best rating being 1"
    )
    like_strength: float = Field(
        0.9, gt=0, le=1, description="strength of a like, the best rating being 1"
    )
    min_interactions: int = Field(
        5, ge=1, description="users a movie needs to be in the collaborative model"
    )
    ease_max_items: int = Field(
        20_000, ge=1, description="movies above which the closed form is refused"
    )
    ease_regularisation: float = Field(200, gt=0, description="L2 on the item-item weights")
    walk_beta: float = Field(
        0.4, ge=0, le=1, description="how strongly random walks shun popular movies"
    )
    walk_neighbours: int = Field(
        100, ge=1, description="movies that random walks keep for each movie"
    )
    half_lives_days: tuple[Positive, ...] = Field(
        (0.5, 1, 2, 4, 7, 14, 30, 90),
        min_length=1,
        description="days after which an interaction counts half as popular, to choose from",
    )
    priors: tuple[NonNegative, ...] = Field(
        (0, 0.1, 0.3, 1, 3, 10, 30),
        min_length=1,
        description="weights of popularity in collaborative to choose from",
    )
    candidates: int = Field(
        50, ge=20, description="movies each algorithm hands to the hybrid, for each user"
    )
    validation: Literal["time", "stratified"] = Field(
        "time",
        description="rows that choose half-life, prior and hybrid: the latest, or a random "
        "share of each user's",
    )
    validation_share: float = Field(
        0.2,
        gt=0,
        lt=1,
        description="share of training rows that choose half-life, prior and hybrid",
    )
    validation_users: int = Field(2_000, ge=1, description="users, at most, in each of the windows")
    ranker: bool = Field(True, description="let an XGBoost ranker compete with the blend")
    ranker_rounds: int = Field(80, ge=1, description="trees of the ranker")
    ranker_depth: int = Field(4, ge=1, description="depth of a tree of the ranker")
    ranker_learning_rate: float = Field(
        0.1, gt=0, le=1, description="share of a tree's correction taken"
    )
    seed: int = Field(0, ge=0, description="of the ranker and of every random choice")
    threads: int = Field(
        2,
        ge=1,
        description="blocks of users at a time, and threads of XGBoost and of BLAS in training; "
        "changing it may change the last bits",
    )


class MoviesPredictParams(Section):
    history_days: int = Field(
        379,
        ge=1,
        description="days of history up to and including D; a user without an interaction in "
        "them gets no row",
    )


PARAMS = params.sections(
    validate=MoviesValidateParams,
    snapshot=MoviesSnapshotParams,
    check_drift=MoviesCheckDriftParams,
    train=MoviesTrainParams,
    predict=MoviesPredictParams,
)


def conflicts(sections: Mapping[str, Section]) -> Iterator[str]:
    """The contradictions between sections, by `<step>.<key>`."""
    yield from params.unknown_metrics(sections, COMPARED, METRICS)
