"""What fraud extracts from the operational database, and what makes a row good."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa

from jobs.core.rules import first_of, garbled
from jobs.core.tables import TIME, Column, Source
from jobs.usecases.fraud.params import FraudValidateParams
from jobs.usecases.typed import RulesOf

if TYPE_CHECKING:
    import pandas as pd


def judge_transactions(rows: pd.DataFrame, day: date, params: FraudValidateParams) -> pd.Series:
    """One reason per row, null for a good row."""
    return first_of(
        rows,
        (rows["event_time"].dt.date != day, f"event_time is not on {day}"),
        *_amounts(rows, params),
        (garbled(rows), "text in an unknown encoding"),
    )


def judge_labels(rows: pd.DataFrame, day: date, params: FraudValidateParams) -> pd.Series:
    """One reason per row, null for a good row.

    Customer, merchant and amount of a label are those of its transaction.
    """
    return first_of(
        rows,
        (rows["reported_at"].dt.date != day, f"reported_at is not on {day}"),
        (rows["customer_id"].isna(), "label of an unknown transaction"),
        (rows["reported_at"] < rows["event_time"], "reported before its transaction"),
        *_amounts(rows, params),
    )


def _amounts(rows: pd.DataFrame, params: FraudValidateParams) -> list[tuple[pd.Series, str]]:
    absurd = f"absurd amount (over {params.max_amount_minor})"
    return [
        (rows["amount_minor"] < 0, "negative amount"),
        (rows["amount_minor"] > params.max_amount_minor, absurd),
    ]


SOURCES = (
    Source(
        name="transactions",
        query=(
            "SELECT transaction_id, event_time, customer_id, merchant_id, amount, currency,"
            " country, device_type, card_last_4 FROM transactions"
            " WHERE event_time >= %(start)s AND event_time < %(end)s"
        ),
        tables={
            "transactions": (
                "transaction_id",
                "event_time",
                "customer_id",
                "merchant_id",
                "amount",
                "currency",
                "country",
                "device_type",
                "card_last_4",
            )
        },
        columns=(
            Column("transaction_id", pa.string(), "id of the transaction"),
            Column("event_time", TIME, "time of the transaction"),
            Column("customer_id", pa.string(), "id of the customer"),
            Column("merchant_id", pa.string(), "id of the merchant"),
            Column("amount_minor", pa.int64(), "amount of the transaction", unit="minor units"),
            Column(
                "currency",
                pa.string(),
                "currency code of the amount; null where the source names none",
                nullable=True,
            ),
            Column("country", pa.string(), "country code of the transaction", nullable=True),
            Column(
                "device_type",
                pa.string(),
                "how it was paid: at a till, on a phone, on the web",
                nullable=True,
            ),
            Column("card_last_4", pa.string(), "last four digits of the card", nullable=True),
        ),
        key=("transaction_id",),
        time="event_time",
        money={"amount_minor": "amount"},
        rules=RulesOf(FraudValidateParams, judge_transactions),
    ),
    Source(
        name="fraud_labels",
        query=(
            "SELECT l.transaction_id, l.is_fraud, l.reported_at,"
            " t.event_time, t.customer_id, t.merchant_id, t.amount"
            " FROM fraud_labels l LEFT JOIN transactions t USING (transaction_id)"
            " WHERE l.reported_at >= %(start)s AND l.reported_at < %(end)s"
        ),
        tables={
            "fraud_labels": ("transaction_id", "is_fraud", "reported_at"),
            "transactions": (
                "transaction_id",
                "event_time",
                "customer_id",
                "merchant_id",
                "amount",
            ),
        },
        columns=(
            Column("transaction_id", pa.string(), "id of the transaction"),
            Column("is_fraud", pa.bool_(), "whether the transaction was reported as fraud"),
            Column("reported_at", TIME, "time at which the label became known"),
            Column("event_time", TIME, "time of the transaction", nullable=True),
            Column("customer_id", pa.string(), "customer of the transaction", nullable=True),
            Column("merchant_id", pa.string(), "merchant of the transaction", nullable=True),
            Column(
                "amount_minor",
                pa.int64(),
                "amount of the transaction",
                nullable=True,
                unit="minor units",
            ),
        ),
        key=("transaction_id",),
        time="reported_at",
        money={"amount_minor": "amount"},
        rules=RulesOf(FraudValidateParams, judge_labels),
        closes=("reported_at",),
    ),
)
