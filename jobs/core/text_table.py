"""Tables as plain text: text wraps within its column, and figures stay whole."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from io import StringIO

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobs.core.text import printable

_FIGURE = re.compile(r"[-+±\d][-+±\d.,:%eE TZ]*")  # numbers with their deviation, dates, times
_GAP = 2
_NARROW = 8  # narrowest column of text; below it, a line per value is easier to read


def fitted(columns: Sequence[str], rows: Iterable[Sequence[object]], width: int) -> Table:
    """Return a table of at most `width` characters; a figure never wraps or loses a digit.

    Where the figures do not fit next to each other, every value has a line of its own.
    """
    head = [printable(name) for name in columns]
    cells = [[printable(str(value)) for value in row] for row in rows]
    room = width - _GAP * (len(head) - 1)
    widths = _widths(head, cells, room)
    if widths is None:
        return _records(head, cells, width)
    table = Table(box=None, pad_edge=False)
    for name, size in zip(head, widths, strict=True):
        table.add_column(Text(name), overflow="fold", width=size)
    for row in cells:
        table.add_row(*map(Text, row))
    return table


def plain(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table in which every row is one line, however long."""
    stream = StringIO()
    console = Console(file=stream, width=1_000_000, color_system=None)
    console.print(fitted(columns, rows, console.width))
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())


def _widths(head: list[str], cells: list[list[str]], room: int) -> list[int] | None:
    """Return the width of every column; None if the figures are wider than `room`."""
    columns = [list(column) for column in zip(head, *cells, strict=True)]
    widths = [min(max(1, *map(cell_len, column)), max(1, room)) for column in columns]
    floors = [
        min(size, max([_NARROW, *map(cell_len, filter(_FIGURE.fullmatch, column[1:]))]))
        for size, column in zip(widths, columns, strict=True)
    ]
    if sum(floors) > room and len(floors) > 1:
        return None
    while sum(widths) > room:
        widest = max(range(len(widths)), key=lambda i: (widths[i] > floors[i], widths[i]))
        widths[widest] -= 1
    return widths


def _records(head: list[str], cells: list[list[str]], width: int) -> Table:
    """Return one line per value, after the name of its column; rows are apart by an empty line."""
    figures = [cell_len(cell) for row in cells for cell in row if _FIGURE.fullmatch(cell)]
    names = min(max(map(cell_len, head)), width - 1 - max(figures, default=_NARROW))
    table = Table.grid(padding=(0, 1), pad_edge=False)
    table.add_column(overflow="fold", width=max(1, names))
    table.add_column(overflow="fold")
    for number, row in enumerate(cells):
        if number:
            table.add_row()
        for name, cell in zip(head, row, strict=True):
            table.add_row(Text(name), Text(cell))
    return table
