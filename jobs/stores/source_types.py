"""Column types of the operational database: what they can be read as, and their plain text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pyarrow as pa

from jobs.core.errors import DataError
from jobs.core.tables import Source

if TYPE_CHECKING:
    import pandas as pd

Types = Mapping[str, Mapping[str, str]]  # table -> column -> base type

# Domains are resolved to their base type; every enum type is reported as `enum`.
COLUMNS = """
WITH RECURSIVE columns AS (
    SELECT attnum, attname, atttypid AS type FROM pg_attribute
    WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped
    UNION ALL
    SELECT attnum, attname, typbasetype FROM columns JOIN pg_type ON pg_type.oid = type
    WHERE typtype = 'd'
)
SELECT attname, CASE typtype WHEN 'e' THEN 'enum' ELSE format_type(type, NULL) END
FROM columns JOIN pg_type ON pg_type.oid = type WHERE typtype <> 'd' ORDER BY attnum
"""

_PADDED = "character"  # char(n), which PostgreSQL pads with insignificant blanks
_TEXTS = ("text", "character varying", _PADDED, '"char"', "name", "enum")
_WHOLE = ("smallint", "integer", "bigint")
_NUMBERS = (*_WHOLE, "numeric", "real", "double precision")
TIMES = ("timestamp with time zone", "timestamp without time zone", "date")
_WHY = {
    "real": "a float cannot hold an exact id",
    "double precision": "a float cannot hold an exact id",
    "money": "its value depends on the server's locale",
    "citext": "it ignores case when it compares ids, and later steps do not",
}
_END_OF_DAY = " 23:59:59.999999+00:00"


def require(source: Source, types: Types) -> None:
    """Raise DataError for the first column with a type that cannot be read as the schema needs."""
    for field in source.schema:
        table, column = _origin(source, field.name)
        kind = types.get(table, {}).get(column)
        allowed = (*_NUMBERS, *_TEXTS) if field.name in source.money else _readable(field.type)
        if kind is not None and kind not in allowed:
            why = _WHY.get(kind.rpartition(".")[2], "")
            raise DataError(
                f"{table}.{column} is of type {kind}, which cannot be read as "
                f"{_meaning(source, field)}",
                input=f"{table}.{column}",
                why=why,
                remedy="ask the upstream owner for one of "
                f"{', '.join(dict.fromkeys(allowed))}, if necessary by a view with a cast",
            )


def plain(rows: pd.DataFrame, source: Source, types: Types) -> pd.DataFrame:
    """Return the rows with equal text for equal values, and a time for dates in `source.closes`."""
    for name in rows:
        table, column = _origin(source, str(name))
        kind = types.get(table, {}).get(column)
        if kind == _PADDED:
            rows[name] = rows[name].str.rstrip(" ")
        elif kind == "numeric":  # 7, 7.0 and 7.00 are one number
            rows[name] = (
                rows[name].str.replace(r"(\.[0-9]*?)0+$", r"\1", regex=True).str.removesuffix(".")
            )
        elif kind == "date" and name in source.closes:
            dated = rows[name].str.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", na=False)
            rows[name] = rows[name].where(~dated, rows[name] + _END_OF_DAY)
    return rows


def _origin(source: Source, name: str) -> tuple[str, str]:
    """Return the upstream column of a column, and the first table that has it."""
    column = source.money.get(name, name)
    table = next((table for table, columns in source.tables.items() if column in columns), "")
    return table, column


def _readable(kind: pa.DataType) -> tuple[str, ...]:
    if pa.types.is_timestamp(kind):
        return (*TIMES, *_TEXTS)
    if pa.types.is_boolean(kind):
        return ("boolean", *_NUMBERS, *_TEXTS)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return (*_NUMBERS, *_TEXTS)
    return (*_TEXTS, "uuid", *_WHOLE, "numeric", "boolean")


def _meaning(source: Source, field: pa.Field) -> str:
    if field.name in source.money:
        return "an amount of money"
    if pa.types.is_timestamp(field.type):
        return "a time"
    if pa.types.is_boolean(field.type):
        return "true or false"
    return "text" if pa.types.is_string(field.type) else "a number"
