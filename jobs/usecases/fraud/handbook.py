"""The baseline of the Fraud Detection Handbook (Le Borgne et al., chapters 3.5 and 5).

15 features and small trees. Its windows are exact, roll with the transaction and include it. They
exist only for comparison; no table holds them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import xgboost as xgb

from jobs.usecases.fraud.model import labels

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

WINDOWS = (1, 7, 30)
FEATURES = (
    "amount",
    "weekend",
    "night",
    *(f"handbook_customer_{measure}_{n}" for n in WINDOWS for measure in ("count", "mean")),
    *(f"handbook_terminal_{measure}_{n}" for n in WINDOWS for measure in ("count", "risk")),
)
TREES, DEPTH, LEARNING_RATE = 100, 3, 0.1

_DAY = 86_400_000_000  # microseconds


def with_features(rows: DataFrame, delay_days: int) -> DataFrame:
    """`rows` (transactions with `is_fraud`) with FEATURES; rows out = rows in.

    Customer: transactions and mean amount of (t-N, t]. Terminal: transactions of
    (t-N-delay, t-delay], and the share of frauds among them, 0 without any.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    moment = F.unix_micros("event_time")
    customer = Window.partitionBy("customer_id").orderBy(moment)
    terminal = Window.partitionBy("merchant_id").orderBy(moment)
    columns: dict[str, Column] = {
        "amount": F.col("amount_minor") / 100,
        "weekend": (F.weekday("event_time") >= 5).cast("int"),
        "night": (F.hour("event_time") <= 6).cast("int"),
    }
    for n in WINDOWS:
        recent = customer.rangeBetween(1 - n * _DAY, 0)
        columns[f"handbook_customer_count_{n}"] = F.count("*").over(recent)
        columns[f"handbook_customer_mean_{n}"] = F.avg(F.col("amount_minor")).over(recent)
        late = terminal.rangeBetween(1 - (n + delay_days) * _DAY, -delay_days * _DAY)
        columns[f"handbook_terminal_count_{n}"] = F.count("*").over(late)
        columns[f"handbook_terminal_risk_{n}"] = F.coalesce(
            F.avg(F.col("is_fraud").cast("int")).over(late), F.lit(0.0)
        )
    return rows.withColumns(columns)


def fit_and_score(train: pa.Table, test: pa.Table, seed: int, threads: int) -> np.ndarray:
    """The baseline's probability of fraud for each row of `test`."""
    parameters = {
        "objective": "binary:logistic",
        "max_depth": DEPTH,
        "learning_rate": LEARNING_RATE,
        "seed": seed,
        "nthread": threads,
    }
    booster = xgb.train(parameters, _matrix(train), num_boost_round=TREES, verbose_eval=False)
    scores: np.ndarray = booster.predict(_matrix(test))
    return scores


def _matrix(table: pa.Table) -> xgb.DMatrix:
    columns = [np.asarray(table[name].cast(pa.float64()).to_numpy()) for name in FEATURES]
    return xgb.DMatrix(np.column_stack(columns), label=labels(table), feature_names=list(FEATURES))
