"""The operational tables of fraud."""

from __future__ import annotations

from jobs.source.schema import OperationalColumn, OperationalTable

_QUARANTINED = "validate quarantines new rows without it"
_NO_FEATURE = "it is an empty feature of the fraud model"

TRANSACTIONS = OperationalTable(
    "transactions",
    (
        OperationalColumn("transaction_id", "id", required=True, meaning="id of the transaction"),
        OperationalColumn("event_time", "time", required=True, meaning="time of the transaction"),
        OperationalColumn("customer_id", "id", cost=_QUARANTINED, meaning="id of the customer"),
        OperationalColumn("merchant_id", "id", cost=_QUARANTINED, meaning="id of the merchant"),
        OperationalColumn(
            "amount",
            "money",
            cost=_QUARANTINED,
            meaning="amount of the transaction, in major units of the currency",
        ),
        OperationalColumn("currency", cost=_NO_FEATURE, meaning="currency code of the amount"),
        OperationalColumn("country", cost=_NO_FEATURE, meaning="country code of the transaction"),
        OperationalColumn(
            "device_type",
            cost=_NO_FEATURE,
            meaning="how it was paid: at a till, on a phone, on the web",
        ),
        OperationalColumn("card_last_4", "id", meaning="last four digits of the card"),
    ),
    time="event_time",
)

FRAUD_LABELS = OperationalTable(
    "fraud_labels",
    (
        OperationalColumn("transaction_id", "id", required=True, meaning="id of the transaction"),
        OperationalColumn(
            "is_fraud",
            "flag",
            required=True,
            meaning="whether the transaction was reported as fraud",
        ),
        OperationalColumn(
            "reported_at", "report", required=True, meaning="time at which the label became known"
        ),
    ),
    time="reported_at",
)

TABLES = (TRANSACTIONS, FRAUD_LABELS)
