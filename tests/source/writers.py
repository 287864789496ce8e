"""Tables of every type, the programs that write them as files, and the expected loaded values."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from hypothesis import strategies as st

from jobs.core.errors import DataError
from jobs.source.csv_file import CsvFormat
from jobs.source.dialect import Dialect
from jobs.source.files import open_file
from jobs.source.mapping import ColumnMap, file_columns
from jobs.source.rows import read_rows
from jobs.source.schema import OperationalColumn

COLUMNS = (
    OperationalColumn("row", "id", required=True),
    OperationalColumn("who", "id"),
    OperationalColumn("text"),
    OperationalColumn("at", "time"),
    OperationalColumn("amount", "money"),
    OperationalColumn("flag", "flag"),
)
DIALECT = Dialect(integer_ids=True)
KINDS = {column.name: column.kind for column in COLUMNS}

_CHARACTERS = st.sampled_from("abé☃\U0001f3ac 07-.,;|\t\"'\\\u00a0")
TEXTS = st.text(_CHARACTERS, max_size=8)
BROKEN_TEXTS = st.text(st.one_of(_CHARACTERS, st.sampled_from('\n\r"')), max_size=8)
_WORDS = st.sampled_from(
    ["007", "-5", "a/b:c%20d", str(2**64), "NA", "漢字", "0", "1.50", "x" * 200]
)
_TIMES = st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1))
# Offsets of zones have seconds before 1901, which polars and pyarrow leave out of CSV.
_ZONED_TIMES = st.datetimes(datetime(1902, 1, 1), datetime(2200, 1, 1))
_FAR_TIMES = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30))
_FLOATS = st.one_of(
    st.floats(-1e6, 1e6),
    st.integers(-(2**60), 2**60).map(float),
    st.sampled_from([0.0, -0.0, 0.1, 596.0]),
)


def _ints(low: int, high: int) -> st.SearchStrategy[int]:
    return st.one_of(st.integers(low, high), st.sampled_from([low, high, 0]))


def _stamps(unit: str, zone: str | None) -> tuple[pa.DataType, st.SearchStrategy[Any]]:
    keep = {"s": 10**6, "ms": 1000, "us": 1, "ns": 1}[unit]
    range_ = _ZONED_TIMES if zone == "America/New_York" else _TIMES if unit == "ns" else _FAR_TIMES
    times = range_.map(lambda time: time - timedelta(microseconds=time.microsecond % keep))
    return pa.timestamp(unit, zone), times.map(
        lambda time: time.replace(tzinfo=UTC)
    ) if zone else times


_NUMBERS: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    *(
        (pa.type_for_alias(f"int{bits}"), _ints(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1))
        for bits in (8, 16, 32, 64)
    ),
    *((pa.type_for_alias(f"uint{bits}"), _ints(0, 2**bits - 1)) for bits in (8, 16, 32, 64)),
    (pa.float64(), _FLOATS),
    (pa.float32(), _FLOATS.map(np.float32).map(float)),
    (pa.float16(), st.floats(-2000, 2000, width=16)),
    (pa.decimal128(20, 0), st.integers(-(10**19), 10**19).map(Decimal)),
    (pa.decimal128(20, 4), st.decimals(-(10**9), 10**9, places=4)),
    (pa.decimal256(50, 2), st.decimals(-(10**9), 10**9, places=2)),
]
_STRINGS: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (kind, st.one_of(TEXTS, _WORDS))
    for kind in (
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.dictionary(pa.int32(), pa.string()),
    )
]
_CLOCKS = [
    _stamps(unit, zone)
    for unit in ("s", "ms", "us", "ns")
    for zone in (None, "UTC", "America/New_York")
]
_DAYS: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (kind, st.dates(date(1700, 1, 1), date(2200, 1, 1))) for kind in (pa.date32(), pa.date64())
]
_FLAGS: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.bool_(), st.booleans()),
    (pa.int8(), st.integers(0, 1)),
    (pa.float64(), st.sampled_from([0.0, 1.0])),
    (pa.string(), st.sampled_from(["yes", "No", "1", "0.0", "TRUE", "f"])),
]
NEVER: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.list_(pa.string()), st.lists(st.text("ab", max_size=2), max_size=2)),
    (pa.struct([("x", pa.int32())]), st.fixed_dictionaries({"x": st.integers(0, 9)})),
    (pa.binary(), st.binary(max_size=3)),
    (pa.time64("us"), st.times()),
    (pa.duration("us"), st.timedeltas(timedelta(0), timedelta(days=9))),
    (pa.map_(pa.string(), pa.int32()), st.just([("k", 1)])),
]
"""Types that no column of a table is read from."""

_BY_COLUMN = {
    "who": [*_NUMBERS, *_STRINGS, (pa.bool_(), st.booleans()), _DAYS[0]],
    "text": [*_STRINGS, *_NUMBERS[:4]],
    "at": [*_CLOCKS, *_DAYS, (pa.string(), _TIMES.map(datetime.isoformat))],
    "amount": [*_NUMBERS, (pa.string(), st.decimals(-(10**9), 10**9, places=2).map(str))],
    "flag": _FLAGS,
}


@st.composite
def tables(
    draw: st.DrawFn, never: bool = False, texts: st.SearchStrategy[str] | None = None
) -> pa.Table:
    """A table with a column `row` that names its rows.

    The other columns have any readable type, except `never`.
    """
    count = draw(st.integers(1, 6))
    columns: dict[str, pa.Array] = {"row": pa.array([f"r{number}" for number in range(count)])}
    broken = draw(st.sampled_from(sorted(_BY_COLUMN))) if never else None
    for name, choices in _BY_COLUMN.items():
        kind, values = draw(st.sampled_from(NEVER if name == broken else choices))
        if texts is not None and kind == pa.string() and name in ("who", "text"):
            values = texts
        columns[name] = pa.array(
            draw(st.lists(st.none() | values, min_size=count, max_size=count)), kind
        )
    return pa.table(columns)


Writer = Callable[[pa.Table, Path], None]


def _duckdb(options: str) -> Writer:
    def write(table: pa.Table, path: Path) -> None:
        with duckdb.connect() as connection:
            connection.register("written", table)
            connection.execute(f"COPY written TO '{path}' ({options})")

    return write


def _pandas_arrow_csv(table: pa.Table, path: Path) -> None:
    if any(pa.types.is_timestamp(kind) and kind.tz for kind in table.schema.types):
        raise NotImplementedError(
            "pandas 2.3 ends with a segmentation fault over zoned times of far years"
        )
    table.to_pandas(types_mapper=pd.ArrowDtype).to_csv(path, index=False)


PARQUET: dict[str, Writer] = {
    "pyarrow": lambda table, path: pq.write_table(table, path),
    "pyarrow, old": lambda table, path: pq.write_table(
        table, path, version="1.0", use_deprecated_int96_timestamps=True, store_schema=False
    ),
    "pyarrow, plain": lambda table, path: pq.write_table(
        table,
        path,
        use_dictionary=False,
        data_page_version="2.0",
        compression="zstd",
        row_group_size=2,
    ),
    "pandas": lambda table, path: table.to_pandas().to_parquet(path),
    "pandas, Arrow's types": lambda table, path: table.to_pandas(
        types_mapper=pd.ArrowDtype
    ).to_parquet(path),
    "polars": lambda table, path: pl.DataFrame(pl.from_arrow(table)).write_parquet(path),
    "DuckDB": _duckdb("FORMAT parquet"),
}
CSV: dict[str, Writer] = {
    "pyarrow": lambda table, path: pa_csv.write_csv(table, path),
    "pandas": lambda table, path: table.to_pandas().to_csv(path, index=False),
    "pandas, quoted": lambda table, path: table.to_pandas().to_csv(path, index=False, quoting=1),
    "pandas, Arrow's types": _pandas_arrow_csv,
    "polars": lambda table, path: pl.DataFrame(pl.from_arrow(table)).write_csv(path),
    "DuckDB": _duckdb("FORMAT csv, HEADER"),
}


@dataclass(frozen=True)
class Loaded:
    """The rows of a file by name, as the database gets them, and the reason of each rejection."""

    rows: dict[str, dict[str, Any]]
    rejected: dict[int, str]
    numbers: dict[str, int]


def load(path: Path, dialect: Dialect = DIALECT, form: CsvFormat | None = None) -> Loaded:
    """What a load of `path` copies into its stage. Raises DataError where the file is refused."""
    file = open_file(path, form or CsvFormat())
    sources = ColumnMap({}, {}).resolve(COLUMNS, file.schema, str(path), dialect)
    rows, rejected, numbers = {}, {}, {}
    for batch in file.batches(file_columns(sources.values())):
        good, places, bad = read_rows(batch, path, COLUMNS, sources, {}, dialect)
        rejected |= {row.row: row.reason for row in (*batch.malformed, *bad)}
        for row, number in zip(good.to_pylist(), places.to_pylist(), strict=True):
            rows[row["row"]] = row
            numbers[row["row"]] = number
    return Loaded(rows, rejected, numbers)


def fault(kind: str, arrow_type: pa.DataType, value: Any) -> bool:
    """Whether a column of `kind` holds no such value of a type."""
    if value is None:
        return False
    if pa.types.is_floating(arrow_type):
        exact = {16: 2**11, 32: 2**24, 64: 2**53}[arrow_type.bit_width]
        if kind in ("id", "text"):
            return math.isinf(value) or (float(value).is_integer() and abs(value) >= exact)
    if kind in ("id", "text") and isinstance(value, str):
        return any(character in value.strip() for character in "\n\r\0")
    return kind == "money" and abs(Decimal(str(value))) >= Decimal("999999999999.995")


def same(kind: str, arrow_type: pa.DataType, value: Any, got: Any, *, lossy: bool = False) -> bool:
    """Whether `got` is what `value` means in a column of `kind`.

    A `lossy` writer turned integers into floats.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return got is None
    if got is None:
        return False
    if kind == "flag":
        return got == (str(value).lower() in ("true", "t", "yes", "1", "1.0"))
    if kind == "time":
        return got == _instant(value)
    if isinstance(value, bool):
        return str(got).lower() == str(value).lower()
    if isinstance(value, float):
        narrow = {16: np.float16, 32: np.float32, 64: np.float64}[arrow_type.bit_width]
        return bool(narrow(got) == narrow(value))
    if isinstance(value, int) and lossy and float(got) == float(value):
        return kind != "id" or "." not in got
    if isinstance(value, (int, Decimal)) or kind == "money":
        return Decimal(got) == Decimal(value) and (
            kind == "money" or "." not in got or value % 1 != 0
        )
    text = value.isoformat() if isinstance(value, date) else value.strip()
    return bool(got == (_integer(text) if kind == "id" else text))


def _integer(text: str) -> str:
    """An id as --integer-ids reads it."""
    head, point, zeros = text.partition(".")
    return head if point and head.lstrip("+-").isdigit() and not zeros.strip("0") else text


def _instant(value: Any) -> datetime:
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def values(table: pa.Table, name: str) -> list[Any]:
    """The values of a column as Python has them."""
    column = table[name]
    if pa.types.is_timestamp(column.type):
        # In UTC: to Python a time in the hour that a zone has twice equals no time of another zone.
        column = column.cast(pa.timestamp("us", column.type.tz and "UTC"))
    return column.to_pylist()


def check(table: pa.Table, loaded: Loaded, *, lossy: bool = False, typed: bool = True) -> None:
    """Every row of `table` is loaded as it is, or rejected because a column holds no such value.

    A `lossy` writer may have turned integers into floats, and writes a year before 1000 with fewer
    than four digits. A file that is not `typed` does not show that digits were a float, nor whether
    a line of a text is a row that lacks a quote.
    """
    columns = {name: values(table, name) for name in table.column_names}
    for number, row in enumerate(columns["row"]):
        faults = [fault(KINDS[name], table[name].type, columns[name][number]) for name in columns]
        if row not in loaded.rows:
            rounded = not typed and any(
                "may have lost digits" in reason for reason in loaded.rejected.values()
            )
            nulls = lossy and any(table[name].null_count for name in columns)
            early = lossy and not typed and _is_early(columns["at"][number])
            folded = not typed and any(_is_folded(columns[name][number]) for name in columns)
            assert any(faults) or nulls or rounded or early or folded, (row, loaded)
            continue
        floats = [pa.types.is_floating(kind) for kind in table.schema.types]
        assert not any(
            fault and (typed or not is_float)
            for fault, is_float in zip(faults, floats, strict=True)
        ), row
        for name in columns:
            value, got = columns[name][number], loaded.rows[row][name]
            assert same(KINDS[name], table[name].type, value, got, lossy=lossy), (
                name,
                table[name].type,
                value,
                got,
            )
    assert len(loaded.rows) + len(loaded.rejected) >= len(table)


def _is_early(time: object) -> bool:
    return isinstance(time, date) and time.year < 1000  # a datetime is a date


def _is_folded(value: object) -> bool:
    """Whether a line of the quoted value can have as many columns as a row."""
    return isinstance(value, str) and "\n" in value and "," in value


def refused(table: pa.Table, error: DataError) -> bool:
    """Whether `error` names a column of a type that is not read."""
    return any(f"the column {name!r} is " in str(error) for name in table.column_names)
