"""Print text of any origin safely: fitted to a terminal, complete in a pipe.

Data contains text that strangers typed. Rich would read `[red]` as markup and `:bomb:` as an emoji,
and a terminal would obey control characters; here they are printed literally.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import IO

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobs.core import text_table
from jobs.core.text import printable

_NAME = 17
_WHOLE = 1_000_000  # columns: no line is cut or wrapped


class Screen(Console):
    """A console that shows text of any origin; Rich's progress bars work on it as usual."""

    def __init__(
        self, stderr: bool = False, file: IO[str] | None = None, width: int | None = None
    ) -> None:
        stream = file or (sys.stderr if stderr else sys.stdout)
        width = width if width or stream.isatty() else _WHOLE
        super().__init__(
            stderr=stderr, file=file, width=width, markup=False, emoji=False, highlight=False
        )

    def say(self, text: str = "", style: str = "") -> None:
        """Print lines of text."""
        self.print(Text(_shown(text), style), soft_wrap=True)

    def item(self, name: str, text: str) -> None:
        """Print a named line; a terminal wraps long text under its beginning."""
        grid = Table.grid(padding=(0, 1))
        grid.add_column(width=_NAME, no_wrap=True)
        grid.add_column(overflow="fold")
        grid.add_row(Text(f"  {printable(name)}"), Text(printable(text)))
        self.print(grid)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Print rows under their columns; a terminal wraps long text within its column."""
        self.print(text_table.fitted(columns, rows, self.width))


def echo(text: str, err: bool = False) -> None:
    """Print lines of text on standard output, or on standard error."""
    typer.echo(_shown(text), err=err)


def raw(answer: bytes) -> None:
    """Print a store's own bytes: unchanged into a pipe, readable on a terminal."""
    if sys.stdout.isatty():
        echo(answer.decode(errors="surrogateescape").removesuffix("\n"))
    else:
        typer.echo(answer, nl=False)


def _shown(text: str) -> str:
    return printable(text.expandtabs(), keep="\n")
