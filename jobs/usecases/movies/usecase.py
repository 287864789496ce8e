"""Movies: recommendations by four algorithms, and the features of users."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import cache
from typing import TYPE_CHECKING

import pyarrow as pa

from jobs.usecases.contract import Demo, Estimator, Features, UseCase
from jobs.usecases.movies import features, params, sources, tables
from jobs.usecases.typed import EstimatorOf, ExampleSetOf, ModelFunctions

if TYPE_CHECKING:
    from jobs.training.boosting import Checkpoints
    from jobs.usecases.movies.model import MoviesModel


@cache
def _estimator() -> Estimator:
    from jobs.evaluation.watched import Watchlist
    from jobs.usecases.movies import drift, evaluation, model, predictions

    return EstimatorOf(
        requirements=model.REQUIREMENTS,
        gpu_libraries=params.GPU_LIBRARIES,
        # Nulls that a catalogue causes; a view has no rating by its nature.
        filled=("title", "genres", "year"),
        beside=("movies",),  # the catalogue: movies that nobody has seen are recommended, too
        watchlist=Watchlist(drift.FEATURES, drift.PREDICTIONS, drift.LABEL),
        past=predictions.PAST,
        seen=predictions.SEEN,
        compared=predictions.COMPARED,
        functions=ModelFunctions(
            judged=evaluation.JudgedRankings,
            train=params.MoviesTrainParams,
            predict=params.MoviesPredictParams,
            fit=_fit,
            load=model.load,
            judge=model.judge,
            decisions=model.decisions,
            parameters=model.parameters,
            example=model.example,
            report=model.report,
            look_back=predictions.look_back,
            build=predictions.build,
            disagreement=predictions.disagreement,
            examples=drift.examples,
            with_predictions=drift.predictions,
        ),
    )


def _fit(
    rows: pa.Table,
    section: params.MoviesTrainParams,
    beside: Sequence[pa.Table],
    checkpoints: Checkpoints | None,
) -> MoviesModel:
    from jobs.usecases.movies import model

    return model.fit(rows, section, *beside, checkpoints=checkpoints)


USECASE = UseCase(
    name="movies",
    summary="Movie recommendations by four algorithms, and the features of users.",
    sources=sources.SOURCES,
    aggregates=tables.AGGREGATES,
    predictions=tables.PREDICTIONS,
    params=params.PARAMS,
    conflicts=params.conflicts,
    features=Features(
        key=features.KEY,
        examples=features.EXAMPLES,
        label=features.LABEL,
        aggregate=features.aggregate,
        training=ExampleSetOf(
            params.MoviesSnapshotParams, features.training_days, features.training_set
        ),
        scoring=ExampleSetOf(
            params.MoviesPredictParams, features.scoring_days, features.scoring_set
        ),
    ),
    limits=(
        "Judged on what users took, not on what they would have taken had they seen it: offline "
        "figures favour the popular.",
        "A movie with few interactions is recommended by content and popularity alone.",
        "Whoever did nothing in the window gets no row.",
    ),
    dag="movie_recommendations",
    entities={"user": "recommendations", "features": "user_features"},
    demo=Demo(
        days=21,
        last_real=date(2013, 8, 25),
        metrics=(
            "ndcg_at_10",
            "map_at_10",
            "precision_at_10",
            "recall_at_20",
            "coverage",
        ),
        order={
            "user_features": "total_interactions DESC",
            "recommendations": "algorithm = 'hybrid' DESC, score DESC",
        },
    ),
    estimator=_estimator,
)
