"""The fraud model: gradient-boosted trees on Arrow tables of features.

A model is one XGBoost UBJSON file with everything it needs: feature names and order, the vocabulary
of each category, the threshold, and the number of rounds. Its identity is the digest of the bytes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import xgboost as xgb

from jobs.core.errors import DataError
from jobs.training import boosting, device
from jobs.training.boosting import BoostingPlan, Checkpoints
from jobs.usecases.fraud import evaluation, metrics
from jobs.usecases.fraud.columns import CATEGORIES, FEATURES
from jobs.usecases.fraud.evaluation import JudgedScores
from jobs.usecases.fraud.params import FraudTrainParams

LABEL = "is_fraud"
REQUIREMENTS = (f"xgboost=={xgb.__version__}", f"numpy=={np.__version__}")  # to load it elsewhere


@dataclass(frozen=True)
class FraudModel:
    """A booster, and what training stored with it."""

    booster: xgb.Booster
    features: list[str]
    vocabulary: dict[str, list[str]]
    threshold: float
    rounds: int

    def to_bytes(self) -> bytes:
        return bytes(self.booster.save_raw("ubj"))


def load(data: bytes) -> FraudModel:
    """The model in `data`."""
    booster = xgb.Booster()
    booster.load_model(bytearray(data))
    stored = json.loads(booster.attr("nightshift") or "{}")
    return FraudModel(
        booster, stored["features"], stored["vocabulary"], stored["threshold"], stored["rounds"]
    )


def fit(
    table: pa.Table, params: FraudTrainParams, *, checkpoints: Checkpoints | None = None
) -> FraudModel:
    """Fit on `table`, the training rows of a snapshot: FEATURES, `date`, `is_fraud`.

    Early stopping chooses the number of rounds, by average precision on the last `validation_days`
    of the table (a third of its days at most). With `refit`, all days are then fitted with that
    number. The same table and parameters give the same bytes on the CPU, with or without
    checkpoints.
    """
    require_both_classes(table, "training")
    parameters = search(table, params, checkpoints) if params.search_trials else params.booster
    return fit_with(table, parameters, params, checkpoints)


def fit_with(
    table: pa.Table,
    parameters: dict[str, object],
    params: FraudTrainParams,
    checkpoints: Checkpoints | None = None,
    prefix: str = "",
) -> FraudModel:
    """`fit` with the given booster parameters; `prefix` marks the stages of its checkpoints."""
    vocabulary = {name: _vocabulary(table[name]) for name in CATEGORIES}
    early, late = split_by_day(table, params.validation_days)
    native = _native(parameters, params)
    booster = boosting.train(
        native,
        _matrix(early, vocabulary),
        BoostingPlan(params.n_estimators, params.checkpoint_rounds, params.early_stopping_rounds),
        stage=f"{prefix}fit",
        evaluation=_matrix(late, vocabulary),
        checkpoints=checkpoints,
    )
    rounds = booster.num_boosted_rounds()
    if params.refit:
        booster = boosting.train(
            native,
            _matrix(table, vocabulary),
            BoostingPlan(rounds, params.checkpoint_rounds),
            stage=f"{prefix}refit",
            checkpoints=checkpoints,
        )
    stored = {
        "features": list(FEATURES),
        "vocabulary": vocabulary,
        "threshold": params.threshold,
        "rounds": rounds,
    }
    booster.set_attr(nightshift=json.dumps(stored, sort_keys=True))
    return FraudModel(booster, list(FEATURES), vocabulary, params.threshold, rounds)


def score(model: FraudModel, table: pa.Table) -> np.ndarray:
    """The probability of fraud of each row; DataError when a feature of the model is missing."""
    if missing := [name for name in model.features if name not in table.column_names]:
        raise DataError(
            f"the model was fitted on {', '.join(missing)}, which these features lack",
            remedy="train a model on today's features, or roll the code back to the model's "
            "code version",
        )
    if not table.num_rows:
        return np.empty(0)
    scores: np.ndarray = model.booster.predict(_matrix(table, model.vocabulary, model.features))
    return scores.astype(np.float64)


def judge(model: FraudModel, train: pa.Table, holdout: pa.Table) -> JudgedScores:
    """Its results on the rows of `holdout`: FEATURES, `is_fraud`, `date`, `customer_id`."""
    return JudgedScores(
        labels(holdout),
        score(model, holdout),
        holdout["date"].to_numpy(),
        holdout["customer_id"].to_numpy(),
        model.threshold,
        evaluation.slices(holdout),
    )


def decisions(model: FraudModel) -> dict[str, object]:
    """What early stopping decided."""
    return {"rounds": model.rounds}


def parameters(model: FraudModel, params: FraudTrainParams) -> dict[str, object]:
    """What people compare between runs: the section, and what training decided."""
    return params.model_dump(mode="json", exclude={"booster"}) | params.booster | decisions(model)


def example(model: FraudModel, table: pa.Table) -> pd.DataFrame:
    """A few rows as the booster takes them, for the signature."""
    rows = table.slice(0, 5)
    matrix = {name: _column(rows[name], model.vocabulary.get(name)) for name in model.features}
    return pd.DataFrame(matrix)


def importance(model: FraudModel) -> dict[str, float]:
    """Total gain of each feature, largest first; features that no tree uses have 0."""
    gains: dict[str, float] = model.booster.get_score(importance_type="total_gain")
    named = {name: float(gains.get(name, 0.0)) for name in model.features}
    return dict(sorted(named.items(), key=lambda item: (-item[1], item[0])))


def search(
    table: pa.Table, params: FraudTrainParams, checkpoints: Checkpoints | None = None
) -> dict[str, object]:
    """The best of `search_trials` random parameter sets, by mean average precision over folds.

    The first trial is the set in params.yaml, so the search never does worse than it on the folds.
    """
    generator = np.random.default_rng(params.seed)
    trials = [params.booster] + [
        _variation(params.booster, generator) for _ in range(params.search_trials - 1)
    ]
    folds = list(time_folds(table, params.search_folds))
    means = [
        np.mean(
            [
                _fold_score(fold, trial, params, checkpoints, f"trial-{n}-fold-{k}-")
                for k, fold in enumerate(folds)
            ]
        )
        for n, trial in enumerate(trials)
    ]
    return trials[int(np.argmax(means))]


def time_folds(table: pa.Table, count: int) -> list[tuple[pa.Table, pa.Table]]:
    """Expanding windows: fold k fits on the first k of count + 1 spans, and tests on the next."""
    spans = np.array_split(np.unique(table["date"].to_numpy()), count + 1)
    return [
        (
            _days_between(table, spans[0][0], spans[k][0]),
            _days_between(table, spans[k][0], spans[k][-1] + np.timedelta64(1, "D")),
        )
        for k in range(1, count + 1)
    ]


def split_by_day(table: pa.Table, last_days: int) -> tuple[pa.Table, pa.Table]:
    """(early days, last days): a time-ordered split; the last days are a third at most."""
    first, last = pc.min(table["date"]).as_py(), pc.max(table["date"]).as_py()
    third = max(1, ((last - first).days + 1) // 3)
    cut = last - timedelta(days=min(last_days, third) - 1)
    late = pc.greater_equal(table["date"], pa.scalar(cut))
    early, late = table.filter(pc.invert(late)), table.filter(late)
    require_both_classes(early, "fitting")
    require_both_classes(late, "validation")
    return early, late


def labels(table: pa.Table) -> np.ndarray:
    return np.asarray(table[LABEL].to_numpy()).astype(np.int8)


def require_both_classes(table: pa.Table, part: str) -> None:
    """DataError unless the rows contain frauds and genuine transactions."""
    frauds = int(labels(table).sum())
    if frauds in (0, table.num_rows):
        raise DataError(
            f"the {part} rows hold {frauds} frauds among {table.num_rows} transactions: "
            "nothing to learn from",
            remedy="check that fraud_labels reach the source; lengthen snapshot.train_days",
        )


def _fold_score(
    fold: tuple[pa.Table, pa.Table],
    parameters: dict[str, object],
    params: FraudTrainParams,
    checkpoints: Checkpoints | None,
    prefix: str,
) -> float:
    fitted, tested = fold
    model = fit_with(fitted, parameters, params, checkpoints, prefix)
    return metrics.average_precision(labels(tested), score(model, tested))


def _variation(base: dict[str, object], generator: np.random.Generator) -> dict[str, object]:
    return base | {
        "max_depth": int(generator.integers(3, 9)),
        "learning_rate": float(np.round(np.exp(generator.uniform(np.log(0.03), np.log(0.3))), 3)),
        "subsample": float(generator.choice([0.6, 0.8, 1.0])),
        "colsample_bytree": float(generator.choice([0.5, 0.8, 1.0])),
        "min_child_weight": float(generator.choice([1.0, 5.0, 10.0])),
        "reg_lambda": float(generator.choice([1.0, 5.0, 10.0])),
    }


def _days_between(table: pa.Table, start: np.datetime64, end: np.datetime64) -> pa.Table:
    days = table["date"].to_numpy()
    return table.filter(pa.array((days >= start) & (days < end)))


def _native(parameters: dict[str, object], params: FraudTrainParams) -> dict[str, object]:
    return parameters | {
        "objective": "binary:logistic",
        "eval_metric": "aucpr",
        "tree_method": "hist",
        "seed": params.seed,
        "nthread": params.threads,
        "device": device.resolve(params.device),
    }


def _vocabulary(column: pa.ChunkedArray) -> list[str]:
    return sorted(value for value in pc.unique(column).to_pylist() if value is not None)


def _matrix(
    table: pa.Table, vocabulary: dict[str, list[str]], features: list[str] | None = None
) -> xgb.DMatrix:
    """Features in the model's order.

    A category is its place in the vocabulary; unseen and missing ones are missing.
    """
    names = features or list(FEATURES)
    columns = [_column(table[name], vocabulary.get(name)) for name in names]
    types = ["c" if name in vocabulary else "float" for name in names]
    label = labels(table) if LABEL in table.column_names else None
    data = np.column_stack(columns).astype(np.float32)
    return xgb.DMatrix(
        data, label=label, feature_names=names, feature_types=types, enable_categorical=True
    )


def _column(column: pa.ChunkedArray, vocabulary: list[str] | None) -> np.ndarray:
    if vocabulary is not None:
        column = pc.index_in(column, value_set=pa.array(vocabulary, pa.string()))
    return np.asarray(column.cast(pa.float64()).to_numpy())
