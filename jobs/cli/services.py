"""`nightshift up` and `nightshift down`: the embedded services."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from jobs.core import masking, settings

if TYPE_CHECKING:
    from jobs.cli.show import Screen


def up(
    stores: Annotated[
        bool,
        typer.Option("--stores", help="Start only PostgreSQL, Redis and MLflow, without Airflow."),
    ] = False,
) -> None:
    """Start PostgreSQL, Redis, MLflow and Airflow on this machine and migrate the stores.

    Services that run already are left alone. Data, logs and passwords are in .nightshift, or in
    NIGHTSHIFT_HOME. The schedule of a new home is off.

    Example: nightshift up
    """
    from jobs.cli.show import Screen
    from jobs.core import schedule
    from jobs.local import airflow, embedded
    from jobs.local.state import State
    from jobs.migrations import run

    screen, config = Screen(), settings.load()
    if not airflow.logins_file(State(config.home)).exists():
        schedule.begin_off(config, schedule.NEW)
    with _Board(screen, "waiting for the services") as board:
        endpoints = embedded.up(
            config,
            board.show,
            scheduler=not stores,
            migrate=lambda: run.migrate(config, lambda line: board.show("migrate", line)),
        )
    for name, url in endpoints.items():
        screen.say(f"{name:24} {masking.public(url)}")
    if not stores:
        state = State(config.home)
        screen.say(f"{'Airflow':24} {airflow.url(state)}")
        screen.say(f"{'  logins':24} {airflow.logins_file(state)}")
        screen.say(f"{'  schedule':24} {schedule.described(config)}")


def call_airflow(context: typer.Context) -> None:
    """Run Airflow's own command line on the embedded Airflow: backfills, pools, connections.

    Example: nightshift airflow backfill list --dag-id fraud_scores
    """
    from jobs.local import airflow
    from jobs.local.services import inherited
    from jobs.local.state import State

    config = settings.load()
    config.url(settings.AIRFLOW_DB)  # raises, with the command to start it, if nothing runs
    environment = inherited() | airflow.environment(State(config.home))
    os.execve(sys.executable, airflow.command(*context.args), environment)


def down(
    purge: Annotated[
        bool, typer.Option("--purge", help="Also delete their data, passwords and logs.")
    ] = False,
) -> None:
    """Stop the services that `nightshift up` started. Their data stays unless you give --purge.

    Example: nightshift down
    """
    from jobs.cli.show import Screen
    from jobs.local import embedded

    with _Board(Screen(), "stopping the services") as board:
        embedded.down(settings.load(), purge=purge, progress=board.show)


class _Board:
    """Prints one line per change, and on a terminal a clock while work continues."""

    def __init__(self, screen: Screen, waiting_for: str) -> None:
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._screen = screen
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=screen,
            transient=True,
            disable=not screen.is_terminal,
        )
        self._progress.add_task(waiting_for, total=None)

    def __enter__(self) -> _Board:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, service: str, doing: str) -> None:
        self._screen.say(f"{service:13} {doing}")
