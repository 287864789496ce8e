"""Convert columns of a file to columns of a table; an unreadable value gets a reason."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.source import numeric, times
from jobs.source.converted import Converted, Mask, as_text, is_text, mask, may_hold, plain, without
from jobs.source.dialect import Dialect
from jobs.source.schema import Kind

_TRUE, _FALSE = ("1", "true", "t", "yes", "y"), ("0", "false", "f", "no", "n")
_TIMES: tuple[Kind, ...] = ("time", "unix", "report")
_TEXTS: tuple[Kind, ...] = ("text", "id")
_EXACT = {16: 2.0**11, 32: 2.0**24, 64: 2.0**53}
"""Bits of a float: the number from which on it cannot hold every integer."""
_SCIENTIFIC = r"^[+-]?\d(\.\d+)?[eE]\+\d+$"
_ROUNDED = "is written like 1.23e+18, which may have lost digits: write integers or text"
_LOST = "is a float, which cannot hold an id of this size: write integers or text"


def convert(kind: Kind, values: pa.Array, dialect: Dialect) -> Converted:
    """Convert an Arrow array, written in `dialect`, to a column of `kind`.

    Plain digits are a time for the kind `unix`; for other times only if the dialect has a unit.
    """
    exact = _exact(values.type)
    values = _without_nulls(plain(values), dialect)
    if kind in _TIMES:
        numbers = kind == "unix" or dialect.counts
        return times.instants(values, dialect, numbers=numbers, day_ends=kind == "report")
    if kind in _TEXTS:
        return _text(values, exact, integers=dialect.integer_ids and kind == "id")
    return _CONVERSIONS[kind](values, dialect)


def readable(kind: Kind, arrow: pa.DataType, dialect: Dialect) -> bool:
    """Whether a column of the type `arrow` can be read as `kind` at all."""
    types = pa.types
    if types.is_dictionary(arrow) or types.is_run_end_encoded(arrow):
        arrow = arrow.value_type
    if types.is_null(arrow) or is_text(arrow):
        return True
    if types.is_date(arrow) or types.is_timestamp(arrow):
        return kind in _TEXTS + _TIMES
    if types.is_boolean(arrow):
        return kind in (*_TEXTS, "flag")
    number = types.is_integer(arrow) or types.is_floating(arrow) or types.is_decimal(arrow)
    return (
        bool(number)
        and (kind in ("unix", *_TEXTS, *_CONVERSIONS) or dialect.counts)
        and kind != "json"
    )


def _exact(arrow: pa.DataType) -> float | None:
    if pa.types.is_dictionary(arrow) or pa.types.is_run_end_encoded(arrow):
        return _exact(arrow.value_type)
    return _EXACT[arrow.bit_width] if pa.types.is_floating(arrow) else None


def _without_nulls(values: pa.Array, dialect: Dialect) -> pa.Array:
    if not dialect.nulls or not is_text(values.type):
        return values
    missing = pc.is_in(pc.utf8_trim_whitespace(values), pa.array(dialect.nulls))
    return pc.if_else(missing, None, values)


def _text(values: pa.Array, exact: float | None, *, integers: bool) -> Converted:
    text = as_text(values)
    if integers:
        text = pc.replace_substring_regex(text, r"^([+-]?\d+)\.0*$", r"\1")
    problems: dict[str, Mask] = {}
    if may_hold(text, b"\0", b"\r", b"\n"):
        problems["holds a NUL character"] = mask(pc.match_substring(text, "\0"))
        problems["holds a line break"] = mask(pc.match_substring_regex(text, r"[\r\n]"))
    if exact is not None:
        size = pc.abs(values)
        problems["is infinite"] = mask(pc.is_inf(values))
        whole = pc.and_(pc.equal(values, pc.floor(values)), pc.is_finite(values))
        inexact = pc.and_(whole, pc.greater_equal(size, exact))
        problems[_LOST] = mask(inexact)
    elif integers:
        problems[_ROUNDED] = mask(pc.match_substring_regex(text, _SCIENTIFIC))
    return without(text, problems) if problems else Converted(text)


def _flag(values: pa.Array, dialect: Dialect) -> Converted:
    text = pc.replace_substring_regex(pc.utf8_lower(as_text(values)), r"^\+?([01])(\.0*)?$", r"\1")
    true, false = (pc.is_in(text, pa.array(words)) for words in (_TRUE, _FALSE))
    unknown = mask(pc.and_(pc.is_valid(text), pc.invert(pc.or_(true, false))))
    return without(
        pc.if_else(pc.is_valid(text), true, None), {"is neither true nor false": unknown}
    )


def _json(values: pa.Array, dialect: Dialect) -> Converted:
    text = as_text(values)
    wrong = [value is not None and not _is_json(value) for value in text.to_pylist()]
    return without(text, {"is not JSON that a database holds": np.array(wrong, dtype=bool)})


def _is_json(text: str) -> bool:
    """Whether PostgreSQL accepts `text` as jsonb: no NaN, infinity, NUL or lone surrogate."""
    try:
        plain = json.dumps(json.loads(text), ensure_ascii=False, allow_nan=False)
        plain.encode()
    except (ValueError, RecursionError):
        return False
    return "\\u0000" not in plain


_CONVERSIONS: dict[Kind, Callable[[pa.Array, Dialect], Converted]] = {
    "flag": _flag,
    "money": numeric.money,
    "number": numeric.number,
    "integer": numeric.integer,
    "json": _json,
}
