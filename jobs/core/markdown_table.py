"""Tables in Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

_PIPE = re.compile(r"(?<!\\)\|")


def markdown_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], numbers: Sequence[str] = ()
) -> Iterator[str]:
    """Yield the lines of a table, a row at a time; the columns in `numbers` align to the right."""
    yield markdown_row(columns)
    yield markdown_row("---:" if name in numbers else "---" for name in columns)
    yield from map(markdown_row, rows)


def markdown_row(cells: Iterable[object]) -> str:
    """Return one line of a table; a `|` within a cell is escaped."""
    return "| " + " | ".join(_PIPE.sub(r"\|", str(cell)) for cell in cells) + " |"
