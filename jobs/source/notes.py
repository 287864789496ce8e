"""Count odd texts that are loaded unchanged, and name the option that reads them differently."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from jobs.source.converted import may_hold
from jobs.source.schema import OperationalColumn

_NULLS = (
    "NULL",
    "null",
    "Null",
    r"\N",
    "nan",
    "NaN",
    "NAN",
    "None",
    "NONE",
    "<NA>",
    "N/A",
    "n/a",
    "#N/A",
    "nil",
)
_FLOAT = r"^[+-]?\d+\.0+$"
_SCIENTIFIC = r"^[+-]?\d(\.\d+)?[eE]\+\d+$"


def notes(rows: pa.Table, columns: Iterable[OperationalColumn]) -> dict[str, int]:
    """Return the number of odd values of `rows` by note."""
    counts: dict[str, int] = {}
    for column in columns:
        if column.kind in ("text", "id") and column.name in rows.column_names:
            counts |= _nulls(column.name, rows[column.name])
        if column.kind == "id" and column.name in rows.column_names:
            counts |= _floats(column.name, rows[column.name])
    return counts


def _nulls(name: str, texts: pa.ChunkedArray) -> dict[str, int]:
    words = pc.unique(texts.filter(pc.is_in(texts, pa.array(_NULLS)))).to_pylist()
    note = "values of {name} are the text {word}: --null '{word}' makes them missing"
    return {note.format(name=name, word=word): _count(pc.equal(texts, word)) for word in words}


def _floats(name: str, texts: pa.ChunkedArray) -> dict[str, int]:
    if not any(may_hold(chunk, b".", b"+") for chunk in texts.chunks):
        return {}
    whole, scientific = (
        _count(pc.match_substring_regex(texts, form)) for form in (_FLOAT, _SCIENTIFIC)
    )
    counts = {
        f"values of {name} are written like 596.0, another id than 596: "
        "--integer-ids reads them as 596": whole,
        f"values of {name} are written like 1.23e+18, which may have lost digits: "
        "export ids as text": scientific,
    }
    return {note: count for note, count in counts.items() if count}


def _count(flags: pa.ChunkedArray) -> int:
    return int(pc.sum(flags).as_py() or 0)
