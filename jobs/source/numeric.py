"""Convert numbers: money in its own digits, floats and integers."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.source.converted import Converted, Floats, Mask, as_text, floats, is_text, mask, without
from jobs.source.dialect import Dialect

MONEY_LIMIT = 1e12  # numeric(14,2): twelve digits before the point
INTEGER_LIMIT = 2**31  # integer: four bytes

_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?$"
_NOT_FINITE = r"(?i)^[+-]?(nan|inf|infinity)$"
_WHOLE = r"^[+-]?\d+(\.0*)?$"


def money(values: pa.Array, dialect: Dialect) -> Converted:
    text, size, problems = _finite(_bare(values, dialect))
    return without(
        text, {**problems, "does not fit numeric(14,2)": np.abs(size) >= MONEY_LIMIT - 0.005}
    )


def number(values: pa.Array, dialect: Dialect) -> Converted:
    _, size, problems = _finite(_bare(values, dialect))
    problems["is NaN or infinite"] |= np.isinf(size)
    return without(pa.array(size, from_pandas=True), problems)


def integer(values: pa.Array, dialect: Dialect) -> Converted:
    text = as_text(_bare(values, dialect))
    whole = mask(pc.match_substring_regex(text, _WHOLE))
    size = floats(text, whole)
    fits = whole & (np.abs(size) < INTEGER_LIMIT)
    problems = {
        "is not a whole number": mask(pc.is_valid(text)) & ~whole,
        "does not fit an integer": whole & ~fits,
    }
    return Converted(pa.array(np.where(fits, size, 0).astype(np.int64), mask=~fits), problems)


def _bare(values: pa.Array, dialect: Dialect) -> pa.Array:
    """Return `values` without the dialect's stripped characters, and with a decimal point."""
    if not is_text(values.type):
        return values
    if dialect.strip:
        values = pc.replace_substring_regex(values, f"[{re.escape(dialect.strip)}]", "")
    return values if dialect.decimal == "." else pc.replace_substring(values, dialect.decimal, ".")


def _finite(values: pa.Array) -> tuple[pa.Array, Floats, dict[str, Mask]]:
    """Return the numbers as trimmed text and as floats (NaN for none), and the problems."""
    # NaN is missing as text, but wrong as a number.
    text = values.cast(pa.string()) if pa.types.is_floating(values.type) else as_text(values)
    not_finite = mask(pc.match_substring_regex(text, _NOT_FINITE))
    number = mask(pc.match_substring_regex(text, _NUMBER))
    problems = {
        "is NaN or infinite": not_finite,
        "is not a number": mask(pc.is_valid(text)) & ~number & ~not_finite,
    }
    return text, floats(text, number), problems
