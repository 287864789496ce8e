"""Load transactions from parquet: `nightshift source load` against pandas' multi-row `to_sql`.

Ours also finds repeats, upserts by key, rejects bad rows and creates labels; to_sql only appends.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pandas as pd
import psycopg2
import sqlalchemy

from jobs.core.settings import Settings
from jobs.source.load import load
from jobs.source.request import Request
from jobs.usecases.fraud.operational.tables import TRANSACTIONS

NAME, OTHER, ROWS = "source load, parquet", "pandas.to_sql(method='multi')", 100_000


def sides(config: Settings, folder: Path) -> tuple[Callable[[], None], Callable[[], None]]:
    path = folder / "transactions.parquet"
    rows(ROWS).to_parquet(path, index=False)
    engine = sqlalchemy.create_engine(
        config.source.replace("postgresql://", "postgresql+psycopg2://")
    )

    def ours() -> None:
        _drop(config.source)
        load(
            config.source,
            Request(TRANSACTIONS, (str(path),)),
            folder / "rejects.parquet",
            lambda *_: None,
        )

    def theirs() -> None:
        pd.read_parquet(path).to_sql(
            "theirs", engine, if_exists="replace", index=False, method="multi", chunksize=1000
        )

    return ours, theirs


def rows(count: int) -> pd.DataFrame:
    numbers = pd.RangeIndex(count)
    return pd.DataFrame(
        {
            "transaction_id": numbers.astype(str),
            "event_time": datetime(2018, 4, 1) + pd.to_timedelta(numbers * 7, unit="s"),
            "customer_id": (numbers % 4999).astype(str),
            "merchant_id": (numbers % 9973).astype(str),
            "amount": (numbers % 30_000) / 100,
            "currency": "EUR",
        }
    )


def _drop(dsn: str) -> None:
    with psycopg2.connect(dsn) as session, session.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS transactions, fraud_labels")
    session.close()
