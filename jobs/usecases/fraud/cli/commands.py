"""The commands of fraud, and what fills its tables for the demo."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from jobs.cli.commands import Commands, RealData
from jobs.usecases.fraud.cli import backtest, source

CUSTOMERS, MERCHANTS = 1_000, 2_000  # of the demo
_FILES = "*.parquet"
_HANDBOOK = {
    "transaction_id": "TRANSACTION_ID",
    "event_time": "TX_DATETIME",
    "customer_id": "CUSTOMER_ID",
    "merchant_id": "TERMINAL_ID",
    "amount": "TX_AMOUNT",
}


def _simulate(days: int, first: datetime) -> None:
    source.simulate(days=days, customers=CUSTOMERS, merchants=MERCHANTS, start=first)


def _load_real(folder: Path) -> None:
    source.transactions(
        files=[str(folder / _FILES)],
        columns=[",".join(f"{ours}={theirs}" for ours, theirs in _HANDBOOK.items())],
        label_column="TX_FRAUD",
    )


COMMANDS = Commands(
    backtest=backtest.fraud,
    source={"simulate": source.simulate},
    load={"transactions": source.transactions, "labels": source.load_labels},
    simulate=_simulate,
    real_data=RealData("transactions", _FILES, "the Fraud Detection Handbook", _load_real),
)
