"""The tables of fraud: what is aggregated a day, and what is published. Money is in integer minor units."""

from __future__ import annotations

import pyarrow as pa

from jobs.core.tables import Table

_DATE = pa.field("date", pa.date32(), nullable=False)


def _schema(**columns: pa.DataType) -> pa.Schema:
    """Columns are not null, except what somebody without a transaction cannot have, and what a source may lack."""
    nullable = {"mean_score", "max_score", "last_event_time", "currency"}
    return pa.schema(
        [_DATE, *(pa.field(name, kind, name in nullable) for name, kind in columns.items())]
    )


SQUARES = pa.decimal128(38, 0)  # the square of an amount may be wider than 64 bits

_REPORTED = {  # labels count by the day they were reported
    "reported_frauds": pa.int64(),
    "reported_fraud_sum": pa.int64(),
    "reported_fraud_sum_of_squares": SQUARES,
}

AGGREGATES = (
    Table(
        name="customer_daily",
        key=("customer_id",),
        grain="one row a day and customer with a transaction or a reported fraud on that day",
        schema=_schema(
            customer_id=pa.string(),
            transactions=pa.int64(),
            amount_sum=pa.int64(),
            amount_sum_of_squares=SQUARES,
            amount_max=pa.int64(),
            night_transactions=pa.int64(),
            last_event_time=pa.timestamp("us", "UTC"),
            **_REPORTED,
        ),
    ),
    Table(
        name="merchant_daily",
        key=("merchant_id",),
        grain="one row a day and merchant with a transaction or a reported fraud on that day",
        schema=_schema(
            merchant_id=pa.string(),
            transactions=pa.int64(),
            amount_sum=pa.int64(),
            **_REPORTED,
        ),
    ),
)

_RISK = {
    "transactions": pa.int64(),  # scored in the last 7 days
    "mean_score": pa.float64(),
    "max_score": pa.float64(),
    "flagged": pa.int64(),  # of them, over the threshold
    "days_since_last": pa.int64(),
}

PREDICTIONS = (
    Table(
        name="transaction_scores",
        key=("transaction_id",),
        kind="event",
        grain="one row a transaction of the day",
        schema=_schema(
            transaction_id=pa.string(),
            event_time=pa.timestamp("us", "UTC"),
            customer_id=pa.string(),
            merchant_id=pa.string(),
            amount_minor=pa.int64(),
            score=pa.float64(),
            flagged=pa.bool_(),
            currency=pa.string(),  # of amount_minor
        ),
        added=("currency",),
    ),
    Table(
        name="customer_risk",
        key=("customer_id",),
        kind="entity",
        grain="one row a customer seen in the 30 days up to the date",
        schema=_schema(customer_id=pa.string(), **_RISK),
    ),
    Table(
        name="merchant_risk",
        key=("merchant_id",),
        kind="entity",
        grain="one row a merchant seen in the 30 days up to the date",
        schema=_schema(merchant_id=pa.string(), **_RISK),
    ),
)
