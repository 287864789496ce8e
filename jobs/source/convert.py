"""Columns of a file to columns of a table: every value is converted, or its row is told what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from jobs.source.schema import Kind

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

MONEY_LIMIT = 1e12  # numeric(14,2): twelve digits before the point
TIME = pa.timestamp("us", "UTC")
INTEGER_LIMIT = 2**31  # integer: four bytes
LAST_SECOND = 253_402_300_799  # of the year 9999

_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?$"
_NOT_FINITE = r"(?i)^[+-]?(nan|inf|infinity)$"
_WHOLE = r"^[+-]?\d+(\.0*)?$"
_SECONDS = r"^[+-]?\d+(\.\d*)?$"
_DATE = r"^\d{4}-\d{2}-\d{2}"
_ZONE = r"(Z|[+-]\d{2}(:?\d{2})?)$"
_TRUE, _FALSE = ("1", "true", "t", "yes", "y"), ("0", "false", "f", "no", "n")


@dataclass(frozen=True)
class Converted:
    """The values of a column, and, by reason, which rows hold none because theirs could not be read.

    Text and money are strings (money in the source's own digits, so that the database rounds exactly),
    JSON as well, times are UTC microseconds, flags booleans, numbers floats and integers integers. A missing
    value is null and no problem.
    """

    values: Any
    problems: dict[str, Mask] = field(default_factory=dict)


def convert(kind: Kind, values: Any, zone: str) -> Converted:
    """An Arrow array as a column of `kind`; a time without a zone of its own is a local time of `zone`.

    Digits alone are seconds since 1970 to the kind `unix`, and no time to `time`.
    """
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if kind == "time":
        return _time(values, zone)
    if kind == "unix":
        return _unix(values, zone)
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


def as_text(values: Any) -> Any:
    """Any scalar Arrow array as trimmed strings, empty ones and NaN null; 7.0 reads 7, as an id in pandas does."""
    if pa.types.is_floating(values.type):
        values = pc.if_else(pc.is_nan(values), None, values)
        whole = pc.and_(pc.equal(values, pc.floor(values)), pc.less(pc.abs(values), 2.0**53))
        integers = pc.if_else(whole, values, 0).cast(pa.int64(), safe=False)
        return pc.if_else(whole, integers.cast(pa.string()), values.cast(pa.string()))
    text = pc.utf8_trim_whitespace(values.cast(pa.string()))
    return pc.if_else(pc.equal(text, ""), None, text)


def _text(values: Any) -> Converted:
    text = as_text(values)
    return _without(text, {"holds a NUL character": mask(pc.match_substring(text, "\0"))})


def _flag(values: Any) -> Converted:
    text = pc.utf8_lower(as_text(values))
    true, false = (pc.is_in(text, pa.array(words)) for words in (_TRUE, _FALSE))
    unknown = mask(pc.and_(pc.is_valid(text), pc.invert(pc.or_(true, false))))
    return _without(pc.if_else(pc.is_valid(text), true, None), {"is neither true nor false": unknown})


def _money(values: Any) -> Converted:
    text, size, problems = _finite(values)
    return _without(text, {**problems, "does not fit numeric(14,2)": np.abs(size) >= MONEY_LIMIT - 0.005})


def _number(values: Any) -> Converted:
    _, size, problems = _finite(values)
    problems["is NaN or infinite"] |= np.isinf(size)
    return _without(pa.array(size, from_pandas=True), problems)


def _integer(values: Any) -> Converted:
    text = as_text(values)
    whole = mask(pc.match_substring_regex(text, _WHOLE))
    size = _floats(text, whole)
    fits = whole & (np.abs(size) < INTEGER_LIMIT)
    problems = {
        "is not a whole number": mask(pc.is_valid(text)) & ~whole,
        "does not fit an integer": whole & ~fits,
    }
    return Converted(pa.array(np.where(fits, size, 0).astype(np.int64), mask=~fits), problems)


def _json(values: Any) -> Converted:
    text = as_text(values)
    wrong = [value is not None and not _is_json(value) for value in text.to_pylist()]
    return _without(text, {"is not JSON that a database holds": np.array(wrong, dtype=bool)})


def _is_json(text: str) -> bool:
    """Whether PostgreSQL takes `text` as jsonb: no NaN, no infinite number, no NUL, no half of a surrogate pair."""
    try:
        plain = json.dumps(json.loads(text), ensure_ascii=False, allow_nan=False)
        plain.encode()
    except (ValueError, RecursionError):
        return False
    return "\\u0000" not in plain


def _finite(values: Any) -> tuple[Any, Floats, dict[str, Mask]]:
    """The numbers as trimmed text and as floats, NaN where there is none, and what is wrong with the others."""
    # As text NaN is missing; as a number it is wrong.
    text = values.cast(pa.string()) if pa.types.is_floating(values.type) else as_text(values)
    not_finite = mask(pc.match_substring_regex(text, _NOT_FINITE))
    number = mask(pc.match_substring_regex(text, _NUMBER))
    problems = {
        "is NaN or infinite": not_finite,
        "is not a number": mask(pc.is_valid(text)) & ~number & ~not_finite,
    }
    return text, _floats(text, number), problems


def _floats(text: Any, number: Mask) -> Floats:
    return np.array(pc.if_else(pa.array(number), text, None).to_pylist(), dtype=object).astype(float)


def _time(values: Any, zone: str) -> Converted:
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        instants = values.cast(pa.timestamp("us", getattr(values.type, "tz", None)), safe=False).to_pandas()
        known = instants if getattr(values.type, "tz", None) else _localize(instants, zone)
        return _instants(known, {_clock(zone): (known.isna() & instants.notna()).to_numpy()})
    text = as_text(values)
    dated = pc.if_else(pc.match_substring_regex(text, _DATE), text, None)
    zoned = pc.match_substring_regex(dated, r"^.{11,}" + _ZONE)
    absolute = _parse(pc.if_else(zoned, dated, None), utc=True)
    naive = _parse(pc.if_else(zoned, None, dated), utc=False)
    local = _localize(naive, zone)
    unread = mask(pc.is_valid(text)) & (absolute.isna() & naive.isna()).to_numpy()
    problems = {
        "is not an ISO 8601 time": unread,
        _clock(zone): (naive.notna() & local.isna()).to_numpy(),
    }
    return _instants(absolute.fillna(local), problems)


def _unix(values: Any, zone: str) -> Converted:
    if pa.types.is_temporal(values.type):
        return _time(values, zone)
    text = as_text(values)
    digits = mask(pc.match_substring_regex(text, _SECONDS))
    seconds = _floats(text, digits)
    known = np.abs(seconds) <= LAST_SECOND
    other = _time(pc.if_else(pa.array(digits), None, text), zone)
    micros = np.rint(np.where(known, seconds, 0) * 1e6).astype(np.int64)
    problems = {"is beyond the year 9999, too many digits for seconds": digits & ~known}
    return Converted(
        pc.if_else(pa.array(known), pa.array(micros).cast(TIME), other.values), problems | other.problems
    )


def _parse(text: Any, *, utc: bool) -> pd.Series[Any]:
    times = pd.to_datetime(text.to_pandas(), format="ISO8601", errors="coerce", utc=utc)
    return pd.Series(times.dt.as_unit("us"))


def _localize(times: pd.Series[Any], zone: str) -> pd.Series[Any]:
    return pd.Series(times.dt.tz_localize(zone, ambiguous="NaT", nonexistent="NaT").dt.tz_convert("UTC"))


def _clock(zone: str) -> str:
    return f"falls into a change of the clocks in {zone}"


def _instants(times: pd.Series[Any], problems: dict[str, Mask]) -> Converted:
    return Converted(pa.Array.from_pandas(times, type=TIME), problems)


def _without(values: Any, problems: dict[str, Mask]) -> Converted:
    bad = np.logical_or.reduce(list(problems.values()))
    return Converted(pc.if_else(pa.array(bad), None, values) if bad.any() else values, problems)


def mask(flags: Any) -> Mask:
    """A boolean Arrow array as numpy; null is false."""
    found: Mask = pc.fill_null(flags, False).to_numpy(zero_copy_only=False)
    return found


_CONVERSIONS: dict[Kind, Callable[[Any], Converted]] = {
    "text": _text,
    "flag": _flag,
    "money": _money,
    "number": _number,
    "integer": _integer,
    "json": _json,
}
