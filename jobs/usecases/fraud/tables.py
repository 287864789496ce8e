"""The tables of fraud: the daily aggregates, and what is published. Money is in minor units."""

from __future__ import annotations

import pyarrow as pa

from jobs.core.tables import DATE, TIME, Column, Table

SQUARES = pa.decimal128(38, 0)  # the square of an amount may be wider than 64 bits
_MINOR, _MINOR_SQUARED = "minor units", "minor units squared"

_CUSTOMER = Column("customer_id", pa.string(), "id of the customer")
_MERCHANT = Column("merchant_id", pa.string(), "id of the merchant")

_HAPPENED = (
    Column("transactions", pa.int64(), "transactions on the day"),
    Column("amount_sum", pa.int64(), "sum of the amounts of those transactions", unit=_MINOR),
)
_REPORTED = (  # labels count by the day they were reported
    Column(
        "reported_frauds", pa.int64(), "frauds reported on the day, whenever the fraud happened"
    ),
    Column("reported_fraud_sum", pa.int64(), "sum of the amounts of those frauds", unit=_MINOR),
    Column(
        "reported_fraud_sum_of_squares",
        SQUARES,
        "sum of the squared amounts of those frauds",
        unit=_MINOR_SQUARED,
    ),
)

AGGREGATES = (
    Table(
        name="customer_daily",
        key=("customer_id",),
        grain="one row per day and customer with a transaction or a reported fraud on that day",
        columns=(
            DATE,
            _CUSTOMER,
            *_HAPPENED,
            Column(
                "amount_sum_of_squares",
                SQUARES,
                "sum of the squared amounts of those transactions",
                unit=_MINOR_SQUARED,
            ),
            Column(
                "amount_max",
                pa.int64(),
                "largest of those amounts; 0 without a transaction",
                unit=_MINOR,
            ),
            Column("night_transactions", pa.int64(), "transactions from 00:00 to 06:59 UTC"),
            Column(
                "last_event_time",
                TIME,
                "time of the last transaction; null without a transaction",
                nullable=True,
            ),
            *_REPORTED,
        ),
    ),
    Table(
        name="merchant_daily",
        key=("merchant_id",),
        grain="one row per day and merchant with a transaction or a reported fraud on that day",
        columns=(DATE, _MERCHANT, *_HAPPENED, *_REPORTED),
    ),
)

_RISK = (
    Column(
        "transactions",
        pa.int64(),
        "transactions scored in the last `predict.score_days` days up to `date`",
    ),
    Column(
        "mean_score",
        pa.float64(),
        "mean score of those transactions; null without one",
        nullable=True,
        unit="probability",
    ),
    Column(
        "max_score",
        pa.float64(),
        "highest score of those transactions; null without one",
        nullable=True,
        unit="probability",
    ),
    Column("flagged", pa.int64(), "how many of those transactions were flagged"),
    Column("days_since_last", pa.int64(), "from the last transaction to `date`", unit="days"),
)

PREDICTIONS = (
    Table(
        name="transaction_scores",
        key=("transaction_id",),
        kind="event",
        grain="one row per transaction of the day",
        columns=(
            DATE,
            Column("transaction_id", pa.string(), "id of the transaction"),
            Column("event_time", TIME, "time of the transaction"),
            _CUSTOMER,
            _MERCHANT,
            Column("amount_minor", pa.int64(), "amount of the transaction", unit=_MINOR),
            Column("score", pa.float64(), "fraud score by the champion", unit="probability"),
            Column("flagged", pa.bool_(), "whether the score reaches the model's threshold"),
            Column(
                "currency",
                pa.string(),
                "currency code of `amount_minor`; null where the source names none, and on days "
                "before this column was added whose rows had left the lake",
                nullable=True,
                added=True,
            ),
        ),
    ),
    Table(
        name="customer_risk",
        key=("customer_id",),
        kind="entity",
        grain="one row per customer with a transaction in the last `predict.seen_days` days up to "
        "`date`",
        columns=(DATE, _CUSTOMER, *_RISK),
    ),
    Table(
        name="merchant_risk",
        key=("merchant_id",),
        kind="entity",
        grain="one row per merchant with a transaction in the last `predict.seen_days` days up to "
        "`date`",
        columns=(DATE, _MERCHANT, *_RISK),
    ),
)
