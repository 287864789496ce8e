"""Rows for training benchmarks: a training set of fraud from a lake, or generated rows like it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import xgboost as xgb

from jobs.core.errors import DataError
from jobs.core.manifest import manifest_name
from jobs.steps import models
from jobs.stores.lake import Lake
from jobs.usecases.fraud import metrics, model
from jobs.usecases.fraud.columns import CATEGORIES, FEATURES
from jobs.usecases.fraud.params import FraudTrainParams

TRAIN_DAYS, HOLDOUT_DAYS, FIRST = 28, 7, np.datetime64("2018-04-01")
MISSING = 0.1


@dataclass(frozen=True)
class Rows:
    """Rows for fitting, early stopping and the holdout, and XGBoost's parameters."""

    native: dict[str, Any]
    fit: xgb.DMatrix
    late: xgb.DMatrix
    holdout: xgb.DMatrix

    def precision(self, booster: xgb.Booster) -> float:
        """Return the average precision (AUC-PR) on the holdout."""
        return metrics.average_precision(self.holdout.get_label(), booster.predict(self.holdout))


def rows(table: pa.Table, params: FraudTrainParams) -> Rows:
    """Split, name and encode the rows as the step and the model do."""
    days, holdout = models.split(table)
    early, late = model.split_by_day(days, params.validation_days)
    vocabulary = {name: model._vocabulary(days[name]) for name in CATEGORIES}
    matrices = (model._matrix(part, vocabulary) for part in (early, late, holdout))
    return Rows(model._native(params.booster, params), *matrices)


def stored(url: str) -> tuple[date, pa.Table]:
    """Return the day and the latest training set of fraud in a lake; DataError without any."""
    lake = Lake(url)
    for day in reversed(lake.days("fraud", "snapshot")):
        if snapshot := lake.manifest(manifest_name("fraud", "snapshot", day)):
            return day, lake.read_table(snapshot.output("training_set"))
    raise DataError(
        f"there is no training set of fraud in {url}",
        remedy="run its step snapshot, or leave out --lake",
    )


def generated(count: int) -> pa.Table:
    """Generate `count` rows of FEATURES.

    About 3 % are frauds, determined by products of features.
    """
    chance = np.random.default_rng(0)
    columns: dict[str, Any] = {name: chance.normal(size=count) for name in FEATURES}
    days = np.sort(chance.integers(0, TRAIN_DAYS + HOLDOUT_DAYS, count))
    label = chance.random(count) < 1 / (1 + np.exp(-_log_odds(columns)))
    for name in CATEGORIES:
        columns[name] = chance.choice(["a", "b", "c", "d"], count)
    for name in FEATURES[len(FEATURES) // 2 :]:
        columns[name] = pa.array(columns[name], mask=chance.random(count) < MISSING)
    split = np.where(days < TRAIN_DAYS, "train", "holdout")
    return pa.table(columns | {model.LABEL: label, "date": FIRST + days, "split": split})


def _log_odds(columns: dict[str, np.ndarray]) -> np.ndarray:
    customer, merchant = (columns[f"{entity}_mean_30"] for entity in ("customer", "merchant"))
    surge = np.maximum(columns["amount_z"], 0) * np.maximum(columns["customer_today_count"], 0)
    risk = np.maximum(columns["merchant_risk_30"], 0) ** 2
    habit = (
        columns["amount"] * np.abs(customer)
        + columns["customer_std_7"] * columns["merchant_mean_7"]
    )
    odds: np.ndarray = -8 + 2 * surge + 1.5 * risk + 1.5 * habit + 0.6 * (customer + merchant)
    return odds
