"""A converted column, and helpers of all conversions."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Converted:
    """The values of a column, and masks of the rows that could not be read, by reason.

    Text, JSON and money are strings (money in the source's digits, so that the database rounds
    exactly), times are UTC microseconds, flags booleans, numbers floats, integers integers. A
    missing value is null and no problem.
    """

    values: pa.Array
    problems: dict[str, Mask] = field(default_factory=dict)


def plain(values: pa.Array) -> pa.Array:
    """Return `values` without dictionary, run-end encoding or views.

    Text as string, half floats as floats.
    """
    types, arrow = pa.types, values.type
    if types.is_dictionary(arrow) or types.is_run_end_encoded(arrow):
        return plain(
            values.dictionary_decode() if types.is_dictionary(arrow) else pc.run_end_decode(values)
        )
    if is_text(arrow):
        return values.cast(pa.string())
    return values.cast(pa.float32()) if types.is_float16(arrow) else values


def is_text(arrow: pa.DataType) -> bool:
    """Whether `arrow` is a text type of Arrow."""
    types = pa.types
    return bool(
        types.is_string(arrow) or types.is_large_string(arrow) or types.is_string_view(arrow)
    )


def as_text(values: pa.Array) -> pa.Array:
    """Return any scalar Arrow array as trimmed strings; empty ones and NaN are null, 7.0 is 7."""
    if pa.types.is_floating(values.type):
        values = pc.if_else(pc.is_nan(values), None, values)
        whole = pc.and_(pc.equal(values, pc.floor(values)), pc.less(pc.abs(values), 2.0**53))
        integers = pc.if_else(whole, values, 0).cast(pa.int64(), safe=False)
        return pc.if_else(whole, integers.cast(pa.string()), values.cast(pa.string()))
    text = pc.utf8_trim_whitespace(values.cast(pa.string()))
    if pa.types.is_decimal(values.type):
        text = pc.replace_substring_regex(text, r"\.0+$", "")
    return pc.if_else(pc.equal(text, ""), None, text)


def may_hold(text: pa.Array, *parts: bytes) -> bool:
    """Whether a string array may contain one of `parts`; a fast check before a regex."""
    buffer = text.buffers()[2]
    content = buffer.to_pybytes() if buffer else b""
    return any(part in content for part in parts)


def mask(flags: pa.Array) -> Mask:
    """Return a boolean Arrow array as numpy; null is false."""
    rows: Mask = pc.fill_null(flags, False).to_numpy(zero_copy_only=False)
    return rows


def floats(text: pa.Array, number: Mask) -> Floats:
    """Return the strings marked in `number` as floats, as Python reads them; NaN for others."""
    return np.array(pc.if_else(pa.array(number), text, None).to_pylist(), dtype=object).astype(
        float
    )


def without(values: pa.Array, problems: dict[str, Mask]) -> Converted:
    """Return `values` with null where there is a problem."""
    bad = np.logical_or.reduce(list(problems.values()))
    return Converted(pc.if_else(pa.array(bad), None, values) if bad.any() else values, problems)
