"""Fraud: scores of transactions, and the risk of customers and merchants."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from jobs.usecases.contract import Demo, Estimator, Features, UseCase
from jobs.usecases.fraud import columns, features, params, sources, tables
from jobs.usecases.typed import EstimatorOf, ExampleSetOf, ModelFunctions

if TYPE_CHECKING:
    from jobs.training.boosting import Checkpoints
    from jobs.usecases.fraud.evaluation import JudgedScores
    from jobs.usecases.fraud.model import FraudModel


@cache
def _estimator() -> Estimator:
    from jobs.evaluation.watched import Watchlist
    from jobs.usecases.fraud import drift, evaluation, model, predictions

    return EstimatorOf(
        requirements=model.REQUIREMENTS,
        gpu_libraries=(),  # XGBoost brings all that it needs
        filled=columns.FEATURES,
        beside=(),  # a row of the training set says all that there is to learn
        watchlist=Watchlist(drift.FEATURES, drift.PREDICTIONS, drift.LABEL),
        past=predictions.PAST,
        seen=predictions.SEEN,
        compared=predictions.COMPARED,
        functions=ModelFunctions(
            judged=evaluation.JudgedScores,
            train=params.FraudTrainParams,
            predict=params.FraudPredictParams,
            fit=_fit,
            load=model.load,
            judge=model.judge,
            decisions=model.decisions,
            parameters=model.parameters,
            example=model.example,
            report=_report,
            look_back=predictions.look_back,
            build=predictions.build,
            disagreement=predictions.disagreement,
            examples=drift.examples,
            with_predictions=drift.predictions,
        ),
    )


def _fit(
    rows: pa.Table,
    section: params.FraudTrainParams,
    beside: Sequence[pa.Table],
    checkpoints: Checkpoints | None,
) -> FraudModel:
    from jobs.usecases.fraud import model

    return model.fit(rows, section, checkpoints=checkpoints)


def _report(model: FraudModel, judged: JudgedScores, folder: Path) -> None:
    from jobs.usecases.fraud import report  # slow: imports Matplotlib

    report.write(model, judged, folder)


USECASE = UseCase(
    name="fraud",
    summary="Fraud scores of transactions, and the risk of customers and merchants.",
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
            params.FraudSnapshotParams, features.training_days, features.training_set
        ),
        scoring=ExampleSetOf(
            params.FraudPredictParams, features.scoring_days, features.scoring_set
        ),
    ),
    limits=(
        "A transaction younger than the label delay is in neither training nor holdout: a new kind "
        "of fraud is learnt late.",
        "A customer or merchant without history has no windows; their features are missing, and "
        "the score rests on the rest.",
        "Scores are calibrated on the holdout's share of frauds; where that moves, so do they.",
    ),
    dag="fraud_scores",
    entities={
        "customer": "customer_risk",
        "merchant": "merchant_risk",
        "transaction": "transaction_scores",
    },
    demo=Demo(
        days=36,
        last_real=date(2018, 7, 10),
        metrics=(
            "roc_auc",
            "average_precision",
            "card_precision_at_100",
            "precision",
            "recall",
        ),
        order={
            "transaction_scores": "score DESC NULLS LAST",
            "customer_risk": "max_score DESC NULLS LAST",
            "merchant_risk": "max_score DESC NULLS LAST",
        },
    ),
    estimator=_estimator,
)
