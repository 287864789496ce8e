"""`nightshift up` and `nightshift down`: the embedded services."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from jobs.core import settings

if TYPE_CHECKING:
    from rich.console import Console


def up() -> None:
    """Start PostgreSQL, Redis and MLflow on this machine, each where it does not run yet.

    Their data, logs and passwords are kept under .nightshift, or where NIGHTSHIFT_HOME says.

    Example: nightshift up
    """
    from rich.console import Console

    from jobs.stores import embedded

    console = Console()
    with _Board(console, "waiting for the services") as board:
        endpoints = embedded.up(settings.load(), board.show)
    for name, url in endpoints.items():
        console.print(f"{name:24} {_without_password(url)}", highlight=False)


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
        self._console.print(f"{service:9} {doing}", highlight=False)


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
