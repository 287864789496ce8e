"""`nightshift demo`: three nights by the scheduler, from nothing to answers, on simulated or real transactions."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import date, datetime, time, timedelta
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from jobs.core.settings import Settings
    from jobs.stores.scheduler import Scheduler

_DAG = "fraud_scores"
DAYS, _CUSTOMERS, _MERCHANTS, _NIGHTS = 36, 1_000, 2_000, 3
_HANDBOOK = {
    "transaction_id": "TRANSACTION_ID", "event_time": "TX_DATETIME", "customer_id": "CUSTOMER_ID",
    "merchant_id": "TERMINAL_ID", "amount": "TX_AMOUNT",
}  # fmt: skip
_LAST_REAL_DAY = date(2018, 7, 10)


def demo(
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder with `transactions/*.parquet` of the Fraud Detection Handbook; default: simulate."
        ),
    ] = None,
) -> None:
    """Start everything, fill the source, have the scheduler run three nights, and look things up in both stores.

    Example: nightshift demo
    """
    from rich.console import Console

    from jobs.cli import night
    from jobs.core import params, settings
    from jobs.core.usecase import model
    from jobs.stores import embedded
    from jobs.stores.lake import Lake

    chosen, console = settings.load(), Console()
    first = params.first_date(chosen.params_file, "fraud")
    last = _LAST_REAL_DAY if data else first + timedelta(days=DAYS - 1)
    nights = [last - timedelta(days=n) for n in range(_NIGHTS - 1, -1, -1)]

    databases = Event()

    def show(service: str, doing: str) -> None:
        console.print(f"{service:13} {doing}", highlight=False)
        if (service, doing) == ("redis", "ready"):
            databases.set()

    # MLflow and Airflow take half a minute, and the ingest needs neither.
    with ThreadPoolExecutor(1) as beside:
        services = beside.submit(embedded.up, chosen, show, scheduler=True)
        services.add_done_callback(lambda _: databases.set())
        databases.wait()
        if services.done():
            services.result()
        done = Lake(chosen.lake).days("fraud", "verify")
        if not done:
            fill(chosen, first, data)
            night.catch_up(console, chosen, "fraud", nights[0])
        services.result()
    ended = _run(console, chosen, [day for day in nights if day not in done])
    _metrics(console, chosen, model("fraud").NAME, last)
    agree = _answers(console, chosen)
    _where(console, chosen)
    if not agree or "failed" in ended.values():
        raise typer.Exit(1)


def _run(console: Console, chosen: Settings, days: Sequence[date]) -> dict[date, str]:
    """Start the nights, in order, and follow them; the state in which each ended."""
    from jobs.cli import nights

    if not days:
        console.print("the three nights have been published")
        return {}
    with scheduler(chosen) as api:
        nights.await_dag(api, _DAG)
        runs = {day: nights.start(api, _DAG, day) for day in days}
        ended = nights.follow(console, api, _DAG, runs)
        for day in (day for day, state in ended.items() if state == "failed"):
            said = [line for line in api.log(_DAG, runs[day], "watcher").splitlines() if "failed" in line]
            console.print(f"[red]{day} failed[/red]", *said[:1], sep="\n")
    return ended


def scheduler(chosen: Settings) -> AbstractContextManager[Scheduler]:
    """The API of the embedded Airflow, as its administrator."""
    from jobs.stores import scheduler
    from jobs.stores.embedded import airflow
    from jobs.stores.embedded.state import State

    state = State(chosen.home)
    return scheduler.connect(airflow.url(state), "admin", airflow.logins(state)["admin"])


def _where(console: Console, chosen: Settings) -> None:
    from jobs.stores.embedded import airflow
    from jobs.stores.embedded.state import State

    state = State(chosen.home)
    console.print(f"\nAirflow {airflow.url(state)}   MLflow {chosen.mlflow}", highlight=False)
    for user, password in airflow.logins(state).items():
        console.print(f"  {user:8} {password}", highlight=False, markup=False)
    console.print('nightshift status   psql "$(nightshift dsn postgres)"   make down', markup=False)


def fill(chosen: Settings, first: date, data: Path | None) -> None:
    """Simulate transactions from `first` on, or load those of the folder."""
    from jobs.cli import source

    if data is None:
        source.simulate(
            days=DAYS, customers=_CUSTOMERS, merchants=_MERCHANTS, start=datetime.combine(first, time())
        )
        return
    source.transactions(
        files=[str(data / "transactions" / "*.parquet")],
        columns=[",".join(f"{ours}={theirs}" for ours, theirs in _HANDBOOK.items())],
        label_column="TX_FRAUD",
    )


def _metrics(console: Any, chosen: Settings, name: str, day: date) -> None:
    from jobs.stores.lake import Lake

    manifest = Lake(chosen.lake).manifest(f"fraud/train/{day}")
    if manifest:
        shown = ("roc_auc", "average_precision", "card_precision_at_100", "precision", "recall")
        metrics = manifest.facts["metrics"]
        console.print(f"\n{name} version {manifest.facts['model_version']}, holdout of {day}:")
        console.print("  " + "  ".join(f"{key} {metrics[key]:.3f}" for key in shown), highlight=False)


def _answers(console: Any, chosen: Settings) -> bool:
    """Look up the riskiest of each kind in both stores; whether they agree."""
    import json

    from jobs.core.usecase import tables
    from jobs.stores import client, postgres

    agree = True
    for table in tables("fraud").PREDICTIONS:
        column = "score" if table.kind == "event" else "max_score"
        with postgres.connect(chosen.postgres, "nightshift demo") as session, session.cursor() as cursor:
            # Names are our own; the served date's rows are what Redis holds too.
            cursor.execute(
                f"SELECT {table.key[0]} FROM {table.name}_current WHERE date = (SELECT max(date) FROM {table.name}_current)"  # noqa: S608
                f" ORDER BY {column} DESC NULLS LAST, 1 LIMIT 1"
            )
            row = cursor.fetchone()
        if row is None:
            console.print(f"{table.name} is empty")
            agree = False
            continue
        answers = [client.lookup(chosen, "fraud", table, row, store) for store in ("redis", "postgres")]
        same = answers[0] is not None and answers[0] == answers[1]
        agree = agree and same
        console.print(
            f"\n{table.name} {row[0]} ({'Redis and PostgreSQL agree' if same else 'THE STORES DIFFER'}):"
        )
        console.print(
            "  " + json.dumps(answers[0], default=str), markup=False, highlight=False, soft_wrap=True
        )
    return agree
