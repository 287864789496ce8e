"""The columns of a transaction that are watched for drift.

One window of each family is watched, since the others move with it. Features of 30 days of history
or of labels grow while the history is short, so they are compared with the holdout, which is
younger than the training days. `weekend` follows the calendar and is not watched.
"""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from jobs.evaluation.watched import Watched
from jobs.usecases.fraud.columns import FEATURES as MODELLED
from jobs.usecases.fraud.features import KEY
from jobs.usecases.fraud.model import FraudModel, score

FEATURES = (
    Watched("amount", "number", 0.25, "fail"),
    Watched("hour", "number", 0.25, "fail"),
    Watched("currency", "category", 0.1),
    Watched("country", "category", 0.1),
    Watched("device_type", "category", 0.1),
    Watched("seconds_since_previous", "number", 0.25),
    Watched("customer_today_count", "number", 0.25),
    Watched("customer_count_7", "number", 0.25, against="holdout"),
    Watched("customer_mean_7", "number", 0.25, against="holdout"),
    Watched("amount_over_mean", "number", 0.25, against="holdout"),
    Watched("amount_z", "number", 0.25, against="holdout"),
    Watched("merchant_count_7", "number", 0.25, against="holdout"),
    Watched("merchant_mean_7", "number", 0.25, against="holdout"),
    Watched("merchant_risk_30", "number", 0.5, against="holdout"),
    # The merchant has no known genuine transaction: it is new, or only frauds of it are known.
    # About one transaction in some hundred is with such a merchant; from 3 % on it is drift.
    Watched("merchant_unproven", "category", 0.08, "fail", against="holdout"),
)
PREDICTIONS = (Watched("score", "number", 0.25, "fail", against="holdout"),)
LABEL = Watched("is_fraud", "number", 0.2, "fail", scopes=("labelled",))

_MADE = "merchant_days_since_genuine"


def examples(events: pa.Table, since: date) -> pa.Table:
    """The transactions from `since` on, with all features.

    With the label if the events have it, and with `merchant_unproven`.
    """
    rows = events.filter(pc.greater_equal(events["date"], pa.scalar(since, pa.date32())))
    names = (*KEY, "date", *MODELLED, LABEL.name)
    chosen = rows.select([name for name in names if name in rows.column_names])
    if _MADE not in rows.column_names:
        return chosen
    unproven = pc.if_else(pc.is_null(rows[_MADE]), "yes", "no")
    return chosen.append_column("merchant_unproven", unproven)


def predictions(model: FraudModel, examples: pa.Table, events: pa.Table) -> pa.Table:
    """The examples with their `score`; DataError when they lack a feature of the model."""
    return examples.append_column("score", pa.array(score(model, examples), pa.float64()))
