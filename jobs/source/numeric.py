"""Numbers: money in its own digits, floats and integers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.source.converted import Converted, Floats, Mask, as_text, floats, mask, without

MONEY_LIMIT = 1e12  # numeric(14,2): twelve digits before the point
INTEGER_LIMIT = 2**31  # integer: four bytes

_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?$"
_NOT_FINITE = r"(?i)^[+-]?(nan|inf|infinity)$"
_WHOLE = r"^[+-]?\d+(\.0*)?$"


def money(values: Any) -> Converted:
    text, size, problems = _finite(values)
    return without(text, {**problems, "does not fit numeric(14,2)": np.abs(size) >= MONEY_LIMIT - 0.005})


def number(values: Any) -> Converted:
    _, size, problems = _finite(values)
    problems["is NaN or infinite"] |= np.isinf(size)
    return without(pa.array(size, from_pandas=True), problems)


def integer(values: Any) -> Converted:
    text = as_text(values)
    whole = mask(pc.match_substring_regex(text, _WHOLE))
    size = floats(text, whole)
    fits = whole & (np.abs(size) < INTEGER_LIMIT)
    problems = {
        "is not a whole number": mask(pc.is_valid(text)) & ~whole,
        "does not fit an integer": whole & ~fits,
    }
    return Converted(pa.array(np.where(fits, size, 0).astype(np.int64), mask=~fits), problems)


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
    return text, floats(text, number), problems
