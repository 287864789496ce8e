"""Columns of a file to columns of a table: every value is converted, or its row is told what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.source import numeric, times
from jobs.source.converted import Converted, as_text, mask, without
from jobs.source.schema import Kind

_TRUE, _FALSE = ("1", "true", "t", "yes", "y"), ("0", "false", "f", "no", "n")


def convert(kind: Kind, values: Any, zone: str) -> Converted:
    """An Arrow array as a column of `kind`; a time without a zone of its own is a local time of `zone`.

    Digits alone are seconds since 1970 to the kind `unix`, and no time to `time`.
    """
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if kind == "time":
        return times.from_text(values, zone)
    if kind == "unix":
        return times.from_seconds(values, zone)
    return _CONVERSIONS[kind](values)


def readable(kind: Kind, given: Any) -> bool:
    """Whether a column of the Arrow type `given` can be read as `kind` at all."""
    types = pa.types
    if types.is_dictionary(given):
        given = given.value_type
    if types.is_null(given) or types.is_string(given) or types.is_large_string(given):
        return True
    if types.is_date(given) or types.is_timestamp(given):
        return kind in ("text", "time", "unix")
    number = types.is_integer(given) or types.is_floating(given) or types.is_decimal(given)
    if types.is_boolean(given):
        return kind in ("text", "flag")
    return bool(number) and kind not in ("time", "json")


def _text(values: Any) -> Converted:
    text = as_text(values)
    return without(text, {"holds a NUL character": mask(pc.match_substring(text, "\0"))})


def _flag(values: Any) -> Converted:
    text = pc.utf8_lower(as_text(values))
    true, false = (pc.is_in(text, pa.array(words)) for words in (_TRUE, _FALSE))
    unknown = mask(pc.and_(pc.is_valid(text), pc.invert(pc.or_(true, false))))
    return without(pc.if_else(pc.is_valid(text), true, None), {"is neither true nor false": unknown})


def _json(values: Any) -> Converted:
    text = as_text(values)
    wrong = [value is not None and not _is_json(value) for value in text.to_pylist()]
    return without(text, {"is not JSON that a database holds": np.array(wrong, dtype=bool)})


def _is_json(text: str) -> bool:
    """Whether PostgreSQL takes `text` as jsonb: no NaN, no infinite number, no NUL, no half of a surrogate pair."""
    try:
        plain = json.dumps(json.loads(text), ensure_ascii=False, allow_nan=False)
        plain.encode()
    except (ValueError, RecursionError):
        return False
    return "\\u0000" not in plain


_CONVERSIONS: dict[Kind, Callable[[Any], Converted]] = {
    "text": _text,
    "flag": _flag,
    "money": numeric.money,
    "number": numeric.number,
    "integer": numeric.integer,
    "json": _json,
}
