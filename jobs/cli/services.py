"""`nightshift up` and `nightshift down`: the embedded services."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from jobs.core import settings

if TYPE_CHECKING:
    from rich.console import Console


def up(
    stores: Annotated[
        bool, typer.Option("--stores", help="Only PostgreSQL, Redis and MLflow, without Airflow.")
    ] = False,
) -> None:
    """Start PostgreSQL, Redis, MLflow and Airflow on this machine, each where it does not run yet.

    Their data, logs and passwords are kept under .nightshift, or where NIGHTSHIFT_HOME says.

    Example: nightshift up
    """
    from rich.console import Console

    from jobs.stores import embedded
    from jobs.stores.embedded import airflow
    from jobs.stores.embedded.state import State

    console, chosen = Console(), settings.load()
    new = not airflow.logins_file(State(chosen.home)).exists()
    with _Board(console, "waiting for the services") as board:
        endpoints = embedded.up(chosen, board.show, scheduler=not stores)
    for name, url in endpoints.items():
        console.print(f"{name:24} {_without_password(url)}", highlight=False)
    if not stores:
        state = State(chosen.home)
        console.print(f"{'Airflow':24} {airflow.url(state)}", highlight=False)
        if new:
            for user, password in airflow.logins(state).items():
                console.print(f"{'  login':24} {user} {password}", highlight=False, markup=False)
        console.print(f"{'  logins are kept in':24} {airflow.logins_file(state)}", highlight=False)


def call_airflow(context: typer.Context) -> None:
    """Airflow's own command line, on the embedded Airflow: backfills, pools, connections.

    Example: nightshift airflow backfill list --dag-id fraud_scores
    """
    from jobs.stores.embedded import airflow
    from jobs.stores.embedded.state import State

    chosen = settings.load()
    chosen.url(settings.AIRFLOW_DB)  # an error that says how to start it, where nothing runs
    environment = os.environ | airflow.environment(State(chosen.home))
    os.execve(sys.executable, airflow.command(*context.args), environment)


def down(
    purge: Annotated[
        bool, typer.Option("--purge", help="Also delete their data, passwords and logs.")
    ] = False,
) -> None:
    """Stop the services that `nightshift up` started; their data is kept, unless told otherwise.

    Example: nightshift down
    """
    from rich.console import Console

    from jobs.stores import embedded

    with _Board(Console(), "stopping the services") as board:
        embedded.down(settings.load(), purge=purge, progress=board.show)


class _Board:
    """One line a change on the way; on a terminal also a clock that shows that something goes on."""

    def __init__(self, console: Console, waiting_for: str) -> None:
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._console = console
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._progress.add_task(waiting_for, total=None)

    def __enter__(self) -> _Board:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, service: str, doing: str) -> None:
        self._console.print(f"{service:13} {doing}", highlight=False)


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
