"""Convert a source's text to typed columns; an unreadable cell is reported, never dropped."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

PROBLEM = "problem"

# Major units with at most two decimals that count; the exponent of every currency handled here is
# 2.
_MONEY = r"^\s*(?P<sign>-?)(?P<major>[0-9]{1,15})(?:\.(?P<minor>[0-9]{1,2})0*)?\s*$"
_NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?"
_BOOLEANS = {"t": True, "true": True, "1": True, "f": False, "false": False, "0": False}


def typed(text: pd.DataFrame, schema: pa.Schema, money: dict[str, str]) -> pa.Table:
    """Return the rows of `text` (columns of strings, null = null) as `schema`, plus `problem`.

    `money` maps columns of the schema to the columns of `text` that hold major units. `problem` is
    null where every cell was readable; otherwise it names every unreadable cell with its text. Rows
    out = rows in.
    """
    columns, problems = {}, pd.Series("", index=text.index, dtype="object")
    for field in schema:
        origin = money.get(field.name, field.name)
        cells = text[origin]
        values = _money(cells) if field.name in money else _values(cells, field.type)
        unreadable = cells.notna() & values.isna()
        problems[unreadable] += f"{origin} is not {_kind(field.type)}: " + cells[unreadable] + "; "
        columns[field.name] = pa.array(values, type=field.type, from_pandas=True)
    columns[PROBLEM] = pa.array(
        problems.str.removesuffix("; ").where(problems != ""), pa.string(), from_pandas=True
    )
    return pa.table(columns)


def _values(text: pd.Series, kind: pa.DataType) -> pd.Series:
    """Return the values of one column; null where the text is not of type `kind`."""
    if pa.types.is_timestamp(kind):
        times = pd.to_datetime(text, utc=True, errors="coerce", format="ISO8601")
        return times.astype("datetime64[us, UTC]")
    if pa.types.is_boolean(kind):
        return text.str.lower().map(_BOOLEANS).astype("boolean")
    if pa.types.is_integer(kind):
        return text.where(text.str.fullmatch(r"-?[0-9]{1,18}", na=False)).astype("Int64")
    if pa.types.is_floating(kind):
        numbers = text.where(text.str.fullmatch(_NUMBER, na=False)).astype("float64")
        return numbers.where(np.isfinite(numbers))
    return text


def _money(text: pd.Series) -> pd.Series:
    """Return integer minor units; null unless finite with at most two decimals (not NaN, 1e3)."""
    parts = text.str.extract(_MONEY)
    major = pd.to_numeric(parts["major"]).astype("Int64") * 100
    minor = pd.to_numeric(parts["minor"].fillna("0").str.ljust(2, "0")).astype("Int64")
    return (major + minor) * parts["sign"].map({"-": -1, "": 1}).astype("Int64")


def _kind(kind: pa.DataType) -> str:
    if pa.types.is_timestamp(kind):
        return "a time"
    if pa.types.is_boolean(kind):
        return "true or false"
    return "a number" if pa.types.is_integer(kind) or pa.types.is_floating(kind) else "text"
