"""What fraud extracts from the operational database, and what makes a row good."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pyarrow as pa

from jobs.core.usecase import Source
from jobs.fraud.params import FraudValidateParams

_TIME = pa.timestamp("us", "UTC")
# U+FFFD is what a decoder leaves of bytes in an unknown encoding; control characters are no better.
_GARBLED = r"[\x00-\x1f\x7f\ufffd]"


def judge_transactions(rows: pd.DataFrame, day: date, params: FraudValidateParams) -> pd.Series:
    """One reason a row, null where the row is good."""
    reasons = _reasons(rows)
    reasons[_garbled(rows)] = "text in an unknown encoding"
    reasons[rows["amount_minor"] > params.max_amount_minor] = (
        f"absurd amount (over {params.max_amount_minor})"
    )
    reasons[rows["amount_minor"] < 0] = "negative amount"
    reasons[rows["event_time"].dt.date != day] = f"event_time is not on {day}"
    return reasons


def judge_labels(rows: pd.DataFrame, day: date, params: FraudValidateParams) -> pd.Series:
    """One reason a row, null where the row is good; a label's customer and merchant are its transaction's."""
    reasons = _reasons(rows)
    reasons[rows["reported_at"] < rows["event_time"]] = "reported before its transaction"
    reasons[rows["customer_id"].isna()] = "label of an unknown transaction"
    reasons[rows["reported_at"].dt.date != day] = f"reported_at is not on {day}"
    return reasons


def _reasons(rows: pd.DataFrame) -> pd.Series:
    return pd.Series(None, index=rows.index, dtype="object")


def _garbled(rows: pd.DataFrame) -> pd.Series:
    texts = rows.select_dtypes(["object", "string"])
    found = [texts[name].str.contains(_GARBLED, na=False, regex=True) for name in texts]
    return pd.concat(found, axis=1).any(axis=1)


SOURCES = (
    Source(
        name="transactions",
        query=(
            "SELECT transaction_id, event_time, customer_id, merchant_id, amount, currency, country, device_type,"
            " card_last_4 FROM transactions WHERE event_time >= %(start)s AND event_time < %(end)s"
        ),
        tables={
            "transactions": (
                "transaction_id", "event_time", "customer_id", "merchant_id", "amount",
                "currency", "country", "device_type", "card_last_4",
            )
        },
        schema=pa.schema(
            {
                "transaction_id": pa.string(), "event_time": _TIME, "customer_id": pa.string(),
                "merchant_id": pa.string(), "amount_minor": pa.int64(), "currency": pa.string(),
                "country": pa.string(), "device_type": pa.string(), "card_last_4": pa.string(),
            }
        ),
        key=("transaction_id",),
        time="event_time",
        required=("transaction_id", "event_time", "customer_id", "merchant_id", "amount_minor"),
        money={"amount_minor": "amount"},
        rules=judge_transactions,
    ),
    Source(
        name="fraud_labels",
        query=(
            "SELECT l.transaction_id, l.is_fraud, l.reported_at, t.event_time, t.customer_id, t.merchant_id"
            " FROM fraud_labels l LEFT JOIN transactions t USING (transaction_id)"
            " WHERE l.reported_at >= %(start)s AND l.reported_at < %(end)s"
        ),
        tables={
            "fraud_labels": ("transaction_id", "is_fraud", "reported_at"),
            "transactions": ("transaction_id", "event_time", "customer_id", "merchant_id"),
        },
        schema=pa.schema(
            {
                "transaction_id": pa.string(), "is_fraud": pa.bool_(), "reported_at": _TIME,
                "event_time": _TIME, "customer_id": pa.string(), "merchant_id": pa.string(),
            }
        ),
        key=("transaction_id",),
        time="reported_at",
        required=("transaction_id", "is_fraud", "reported_at"),
        money={},
        rules=judge_labels,
    ),
)  # fmt: skip
