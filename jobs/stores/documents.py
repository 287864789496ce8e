"""Convert rows to the JSON documents of lookups, column by column in Arrow.

A document is one row; in a ranked table, it is the array of all rows with the same lookup key.

Dates and times are ISO 8601 (UTC, microseconds, `Z`), money is an integer in minor units, floats
read back with the same bits. NaN and infinities, which JSON lacks, are null.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jobs.core.tables import Table

_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"
_TEXT = pa.large_string()


def identifier(key: Sequence[object]) -> str:
    """Return the id of one row: its key columns, percent-encoded, joined by `:`."""
    return ":".join(quote(str(part), safe="") for part in key)


def identifiers(rows: pa.Table, key: Sequence[str]) -> pa.Array:
    """Return the ids of the rows, in the format of `identifier`."""
    parts = [
        _special(_column(rows, name).cast(_TEXT), r"[^A-Za-z0-9_.~-]", _quoted) for name in key
    ]
    return pc.binary_join_element_wise(*parts, _scalar(":"))


def entries(rows: pa.Table, table: Table, size: int) -> Iterator[tuple[pa.Array, pa.Array]]:
    """Yield (ids, documents) of `rows`, in batches of about `size` rows."""
    rows = rows.select(table.schema.names)
    if table.ranked:
        rows = rows.sort_by([(name, "ascending") for name in table.key])
    for part in _parts(rows, table, size):
        ids, texts = identifiers(part, table.lookup_key), documents(part)
        yield _arrays(ids, texts) if table.ranked else (ids, texts)


def sampled(rows: pa.Table, table: Table, seed: str, size: int) -> pa.Table:
    """Return at most `size` random rows; the same seed gives the same rows.

    Of a ranked table, all rows with the lookup key of a drawn row are returned.
    """
    places = random.Random(f"{seed} {table.name}").sample(
        range(rows.num_rows), min(size, rows.num_rows)
    )
    drawn = rows.take(pa.array(sorted(places), pa.int64()))
    if not table.ranked:
        return drawn
    wanted = identifiers(drawn, table.lookup_key)
    return rows.filter(pc.is_in(identifiers(rows, table.lookup_key), value_set=wanted))


def answer(version: str, content: object) -> dict[str, object]:
    """Return the answer of a lookup: the version, and the row or, of a ranked table, `rows`."""
    return {"version": version, **(content if isinstance(content, dict) else {"rows": content})}


def documents(rows: pa.Table) -> pa.Array:
    """Return one JSON object per row, with the columns in order."""
    pieces: list[Any] = []
    for at, name in enumerate(rows.column_names):
        pieces += [
            _scalar(f"{', ' if at else '{'}{json.dumps(name)}: "),
            _json(_column(rows, name)),
        ]
    return pc.binary_join_element_wise(
        *pieces, _scalar("}"), _scalar(""), null_handling="replace", null_replacement="null"
    )


def value(cell: object) -> object:
    """Return a value of a row as it is in the row's document."""
    if isinstance(cell, datetime):
        return cell.astimezone(UTC).strftime(_TIME)
    if isinstance(cell, date):
        return cell.isoformat()
    return None if isinstance(cell, float) and not math.isfinite(cell) else cell


def _parts(rows: pa.Table, table: Table, size: int) -> Iterator[pa.Table]:
    """Yield slices of about `size` rows; a ranked table is cut only between ids."""
    starts = (
        _starts(identifiers(rows, table.lookup_key)) if table.ranked else np.arange(rows.num_rows)
    )
    start = 0
    while start < rows.num_rows:
        later = starts[np.searchsorted(starts, start + size) :]
        end = int(later[0]) if len(later) else rows.num_rows
        yield rows.slice(start, end - start)
        start = end


def _arrays(ids: pa.Array, texts: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Return unique ids, and the array of the documents of each id; equal ids are adjacent."""
    starts = _starts(ids)
    offsets = pa.array(np.append(starts, len(ids)), pa.int64())
    joined = pc.binary_join(pa.LargeListArray.from_arrays(offsets, texts), _scalar(", "))
    whole = pc.binary_join_element_wise(_scalar("["), joined, _scalar("]"), _scalar(""))
    return ids.take(pa.array(starts)), whole


def _starts(ids: pa.Array) -> npt.NDArray[np.int64]:
    """Return the positions at which the id changes."""
    changes = pc.not_equal(ids[1:], ids[:-1]).to_numpy(zero_copy_only=False)
    return np.flatnonzero(np.append([len(ids) > 0], changes)[: len(ids)])


def _json(column: pa.Array) -> pa.Array:
    """Return the JSON text of every value; null stays null."""
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        text = column.cast(_TEXT)
        plain = pc.binary_join_element_wise(_scalar('"'), text, _scalar('"'), _scalar(""))
        return _special(
            text, r'["\\\x00-\x1f\x7f]', lambda value: json.dumps(value, ensure_ascii=False), plain
        )
    if pa.types.is_floating(kind):
        text = pc.if_else(pc.is_finite(column), column, None).cast(_TEXT)
        whole = pc.binary_join_element_wise(text, _scalar(".0"), _scalar(""))
        return pc.if_else(pc.match_substring_regex(text, r"[.eE]"), text, whole)
    if pa.types.is_timestamp(kind):
        # Arrow writes times without a zone eight times as fast; the zone here is UTC.
        plain = column.cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us"))
        text = pc.replace_substring(plain.cast(_TEXT), " ", "T")
        return pc.binary_join_element_wise(_scalar('"'), text, _scalar('Z"'), _scalar(""))
    if pa.types.is_date(kind):
        return pc.binary_join_element_wise(
            _scalar('"'), column.cast(_TEXT), _scalar('"'), _scalar("")
        )
    return column.cast(_TEXT)


def _special(
    text: pa.Array, pattern: str, rewrite: Callable[[str], str], plain: pa.Array | None = None
) -> pa.Array:
    """Return `plain` (default `text`), with `rewrite(text)` where the text matches `pattern`."""
    plain = text if plain is None else plain
    special = pc.fill_null(pc.match_substring_regex(text, pattern), False)
    if not pc.any(special).as_py():
        return plain
    return pc.replace_with_mask(
        plain, special, pa.array(map(rewrite, text.filter(special).to_pylist()), _TEXT)
    )


def _quoted(text: str) -> str:
    return quote(text, safe="")


def _column(rows: pa.Table, name: str) -> pa.Array:
    column = rows.column(name).combine_chunks()
    return (
        pa.concat_arrays(column.chunks)
        if isinstance(column, pa.ChunkedArray) and column.num_chunks
        else column
    )


def _scalar(text: str) -> pa.Scalar:
    return pa.scalar(text, _TEXT)
