"""What fraud publishes: scored transactions, and the risk of customers and merchants."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from jobs.core.tables import Table
from jobs.usecases.contract import LookBack
from jobs.usecases.fraud.model import FraudModel, score
from jobs.usecases.fraud.params import FraudPredictParams
from jobs.usecases.fraud.tables import PREDICTIONS

# The table whose earlier days are read, and the inputs that tell who was seen lately.
PAST = "transaction_scores"
SEEN = ("customer_daily", "merchant_daily")
TOLERANCE = 1e-6  # scores are single precision

COMPARED = "transaction_scores"

_SCORES, _CUSTOMER_RISK, _MERCHANT_RISK = PREDICTIONS


def look_back(params: FraudPredictParams) -> LookBack:
    """The days of PAST before D that the tables of D need."""
    return LookBack(params.score_days - 1, params.max_missing_days)


def build(
    model: FraudModel,
    events: pa.Table,
    past: pa.Table | None,
    seen: Mapping[str, pa.Table],
    day: date,
    params: FraudPredictParams,
) -> dict[str, pa.Table]:
    """The rows of every table of PREDICTIONS for `day`, whose transactions are `events`."""
    assert past is not None  # PAST asks for it
    return contents(
        transaction_scores(events, score(model, events), model.threshold), past, seen, day, params
    )


def disagreement(
    model: Callable[[], FraudModel], examples: pa.Table, predicted: pa.Table
) -> tuple[int, int]:
    """(transactions in both, how many of them differ).

    The model scores `examples` again; a score that is not the one in `predicted` differs.
    """
    ours = pa.table(
        {"transaction_id": examples["transaction_id"], "ours": score(model(), examples)}
    )
    both = predicted.select(["transaction_id", "score"]).join(
        ours, "transaction_id", join_type="inner"
    )
    apart = np.abs(both["score"].to_numpy() - both["ours"].to_numpy())
    return both.num_rows, int((apart > TOLERANCE).sum())


def contents(
    today: pa.Table,
    past: pa.Table,
    seen: Mapping[str, pa.Table],
    day: date,
    params: FraudPredictParams,
) -> dict[str, pa.Table]:
    """The content of every table, from the scores of `day` and of the days before."""
    recent = pa.concat_tables([past.select(_SCORES.schema.names), today])
    return {
        _SCORES.name: today,
        _CUSTOMER_RISK.name: risk(
            recent, seen["customer_daily"], _CUSTOMER_RISK, day, params.seen_days
        ),
        _MERCHANT_RISK.name: risk(
            recent, seen["merchant_daily"], _MERCHANT_RISK, day, params.seen_days
        ),
    }


def transaction_scores(events: pa.Table, scores: np.ndarray, threshold: float) -> pa.Table:
    """One row per transaction; flagged if its score reaches the threshold."""
    columns = {
        "score": pa.array(scores, pa.float64()),
        "flagged": pa.array(scores >= threshold, pa.bool_()),
    }
    table = pa.table(
        [
            columns.get(name, events[name] if name in events.column_names else None)
            for name in _SCORES.schema.names
        ],
        names=_SCORES.schema.names,
    )
    return table.cast(_SCORES.schema).sort_by("transaction_id")


def risk(recent: pa.Table, daily: pa.Table, table: Table, day: date, seen_days: int) -> pa.Table:
    """One row per entity with a transaction in the `seen_days` days up to `day`.

    Mean and maximum of its scores in `recent`, null without one, and how many were flagged.
    days_since_last counts whole days from the last transaction's day to `day`.
    """
    (entity,) = table.key
    first = day - timedelta(days=seen_days - 1)
    alive = pc.and_(
        pc.greater(daily["transactions"], 0), pc.greater_equal(daily["date"], pa.scalar(first))
    )
    alive = pc.and_(alive, pc.less_equal(daily["date"], pa.scalar(day)))
    last = daily.filter(alive).group_by(entity).aggregate([("date", "max")]).to_pandas()
    # Sorted before the sum: the mean's last bit depends on the order of its terms.
    scores = recent.to_pandas().sort_values([entity, "event_time", "transaction_id"])
    found = scores.groupby(entity).agg(
        transactions=("score", "size"),
        mean_score=("score", "mean"),
        max_score=("score", "max"),
        flagged=("flagged", "sum"),
    )
    rows = last.merge(found, how="left", left_on=entity, right_index=True).sort_values(entity)
    rows["date"] = day
    rows["days_since_last"] = [(day - seen).days for seen in rows["date_max"]]
    rows[["transactions", "flagged"]] = rows[["transactions", "flagged"]].fillna(0).astype("int64")
    return pa.Table.from_pandas(
        pd.DataFrame(rows[table.schema.names]), schema=table.schema, preserve_index=False
    )
