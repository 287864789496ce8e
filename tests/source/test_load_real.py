"""The transactions of the Fraud Detection Handbook, all of them, through the loader."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from decimal import Decimal

import psycopg2
import pytest

from jobs.core.settings import PROJECT
from jobs.source.load import load
from jobs.source.request import Request
from jobs.usecases.fraud.operational.labels import LabelRule, labelled_transactions
from jobs.usecases.fraud.operational.tables import TABLES, TRANSACTIONS

FOLDER = PROJECT.parent / "shared" / "data" / "transactions"
COLUMNS = {
    "transaction_id": "TRANSACTION_ID",
    "event_time": "TX_DATETIME",
    "customer_id": "CUSTOMER_ID",
    "merchant_id": "TERMINAL_ID",
    "amount": "TX_AMOUNT",
}


@pytest.mark.skipif(not FOLDER.is_dir(), reason="../shared/data/transactions is not here")
def test_a_million_transactions_load_whole_with_their_labels(source_db, tmp_path):
    request = Request(
        TRANSACTIONS,
        (f"{FOLDER}/*.parquet",),
        COLUMNS,
        {"currency": "EUR"},
        labelled_transactions(LabelRule("TX_FRAUD", timedelta(days=7))),
        others=TABLES,
    )
    summary = load(source_db, request, tmp_path / "bad.csv", lambda stage, share: None)
    assert (summary.read, summary.loaded, summary.written) == (1_016_507,) * 3
    assert (summary.companions, summary.duplicates) == ({"labels": 8138}, 0)
    assert summary.rejected == {}
    with closing(psycopg2.connect(source_db)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), count(DISTINCT customer_id), sum(amount) FROM transactions"
        )
        assert cursor.fetchone() == (1_016_507, 4985, Decimal("54510103.40"))
        cursor.execute(
            "SELECT count(*) FROM fraud_labels JOIN transactions USING (transaction_id)"
            " WHERE is_fraud AND reported_at = event_time + interval '7 days'"
        )
        assert cursor.fetchone() == (8138,)
