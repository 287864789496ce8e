"""`nightshift source` for fraud: load transactions and labels, or simulate them."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from jobs.cli.loading import LoadOptions, run_load, run_simulation, with_options

_HANDBOOK_START = datetime(2018, 4, 1)


class Labels(StrEnum):
    """Which transactions get a row in fraud_labels."""

    frauds = "frauds"
    all = "all"


def simulate(
    days: Annotated[int, typer.Option(min=1, help="Number of days.")],
    customers: Annotated[
        int,
        typer.Option(min=1, help="Number of customers; each makes about two transactions a day."),
    ],
    merchants: Annotated[int | None, typer.Option(min=1, help="Default: two per customer.")] = None,
    start: Annotated[
        datetime, typer.Option(formats=["%Y-%m-%d"], help="The first day.")
    ] = _HANDBOOK_START,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same rows.")] = 0,
    label_delay_days: Annotated[
        float, typer.Option(min=0, help="Days from a fraud to its report.")
    ] = 7,
    label_jitter_days: Annotated[
        float, typer.Option(min=0, help="Random days added to the delay, at most.")
    ] = 0,
    to: Annotated[Path | None, typer.Option(help="Write parquet files here instead.")] = None,
) -> None:
    """Simulate realistic transactions and fraud labels.

    The rules are those of the Fraud Detection Handbook: customers with habits, merchants near them,
    0.8 % fraud by compromised merchants and cards. A day's rows depend only on seed, customers,
    merchants and date. Existing rows with the same id are replaced; a second population for the
    same days mixes with the first.

    Example: nightshift source simulate --days 60 --customers 1000 --start 2018-04-01
    """
    from jobs.usecases.fraud.operational.day import Reporting
    from jobs.usecases.fraud.operational.simulation import FraudSimulation

    simulation = FraudSimulation(
        start=start.date(),
        days=days,
        customers=customers,
        merchants=merchants or 2 * customers,
        seed=seed,
        reporting=Reporting(label_delay_days, label_jitter_days),
    )
    counts = run_simulation(simulation, to)
    share = counts.frauds / max(counts.transactions, 1)
    typer.echo(
        f"{counts.transactions:,} transactions on {days} days, "
        f"{counts.frauds:,} of them fraud ({share:.2%})"
    )


@with_options
def transactions(
    options: LoadOptions,
    label_column: Annotated[
        str | None, typer.Option(help="Column of the files that says whether it is fraud.")
    ] = None,
    label_delay_days: Annotated[
        float, typer.Option(min=0, help="Days from a transaction to its label.")
    ] = 7,
    labels: Annotated[
        Labels,
        typer.Option(
            help="Write labels for frauds only (older transactions without one are genuine), or "
            "for all."
        ),
    ] = Labels.frauds,
) -> None:
    """Load transactions, and their labels if the files have them.

    For a transaction_id that exists already, only the columns in the files change. Columns:
    transaction_id and event_time (both required), customer_id, merchant_id, amount, currency,
    country, device_type, card_last_4.

    Example: nightshift source load transactions --files 'data/*.parquet' --const currency=EUR
    --map transaction_id=TRANSACTION_ID,event_time=TX_DATETIME,customer_id=CUSTOMER_ID
    --map merchant_id=TERMINAL_ID,amount=TX_AMOUNT --label-column TX_FRAUD
    """
    from jobs.usecases.fraud.operational.labels import LabelRule, labelled_transactions
    from jobs.usecases.fraud.operational.tables import TABLES, TRANSACTIONS

    delay, genuine = timedelta(days=label_delay_days), labels is Labels.all
    rule = LabelRule(label_column, delay, genuine) if label_column else None
    run_load(TRANSACTIONS, TABLES, options, labelled_transactions(rule) if rule else None)


@with_options
def load_labels(options: LoadOptions) -> None:
    """Load fraud labels: transaction_id, is_fraud and reported_at, all required.

    A row replaces the label of the same transaction_id. A date without a time in reported_at means
    the end of that day.

    Example: nightshift source load labels --files chargebacks.csv --map
    transaction_id=TX,reported_at=BOOKED --const is_fraud=true
    """
    from jobs.usecases.fraud.operational.labels import labels
    from jobs.usecases.fraud.operational.tables import FRAUD_LABELS, TABLES

    run_load(FRAUD_LABELS, TABLES, options, reading=labels())
