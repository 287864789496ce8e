"""Files that Spark writes, with its own defaults."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
import writers

from jobs.core.errors import DataError
from jobs.source.csv_file import CsvFormat

pytestmark = pytest.mark.slow

SCHEMA = "row string, who {who}, text string, at {at}, amount {amount}, flag {flag}"
AT = datetime(2018, 7, 10, 12, 30, 15, 123_456)
TEXTS = [
    "plain",
    'say "hi", she said',
    "a, b",
    "C:\\dir\\",
    '"',
    "",
    None,
    "é🎬",
    " padded ",
    "a;b|c\td",
]


def frame(spark, **types):
    values = {
        "bigint": 2**62,
        "int": -5,
        "string": "007",
        "decimal(20,0)": Decimal(10**19),
        "double": 596.0,
        "boolean": True,
        "timestamp": AT.replace(tzinfo=UTC),
        "timestamp_ntz": AT,
        "date": date(2018, 7, 10),
        "decimal(14,2)": Decimal("7.50"),
        "float": 7.5,
        "array<int>": [1],
        "struct<x:int>": (1,),
        "map<string,int>": {"k": 1},
        "binary": b"x",
    }
    rows = [
        (
            f"r{number}",
            values[types["who"]],
            text,
            values[types["at"]],
            values[types["amount"]],
            values[types["flag"]],
        )
        for number, text in enumerate(TEXTS)
    ]
    return spark.createDataFrame(rows, SCHEMA.format(**types))


def parts(folder, suffix):
    return sorted(folder.glob(f"part-*{suffix}*"))


TYPES = [
    {"who": "bigint", "at": "timestamp", "amount": "decimal(14,2)", "flag": "boolean"},
    {"who": "int", "at": "timestamp_ntz", "amount": "double", "flag": "boolean"},
    {"who": "decimal(20,0)", "at": "timestamp", "amount": "float", "flag": "boolean"},
    {"who": "double", "at": "date", "amount": "int", "flag": "boolean"},
    {"who": "string", "at": "timestamp", "amount": "double", "flag": "boolean"},
]


def expected(text):
    return (text or "").strip() or None


@pytest.mark.parametrize("types", TYPES, ids=lambda types: types["who"])
@pytest.mark.parametrize("times", ["INT96", "TIMESTAMP_MICROS", "TIMESTAMP_MILLIS"])
def test_parquet(spark, tmp_path, types, times):
    spark.conf.set("spark.sql.parquet.outputTimestampType", times)
    frame(spark, **types).coalesce(1).write.parquet(str(tmp_path / "out"))
    (path,) = parts(tmp_path / "out", ".parquet")
    loaded = writers.load(path)
    assert loaded.rejected == {}
    assert {row: values["text"] for row, values in loaded.rows.items()} == {
        f"r{number}": expected(text) for number, text in enumerate(TEXTS)
    }
    first = loaded.rows["r0"]
    ids = {
        "bigint": str(2**62),
        "int": "-5",
        "decimal(20,0)": str(10**19),
        "double": "596",
        "string": "007",
    }
    assert first["who"] == ids[types["who"]]
    assert first["flag"] is True
    day = datetime(2018, 7, 10, tzinfo=UTC)
    kept = 1000 if times == "TIMESTAMP_MILLIS" and types["at"] == "timestamp" else 1
    whole = AT.replace(tzinfo=UTC, microsecond=AT.microsecond // kept * kept)
    assert first["at"] == (day if types["at"] == "date" else whole)


@pytest.mark.parametrize("types", TYPES, ids=lambda types: types["who"])
@pytest.mark.parametrize("compression", ["none", "gzip", "bzip2"])
def test_csv_with_sparks_own_escape(spark, tmp_path, types, compression):
    out = tmp_path / "out"
    frame(spark, **types).coalesce(1).write.csv(str(out), header=True, compression=compression)
    (path,) = parts(out, ".csv")
    loaded = writers.load(path, form=CsvFormat(escape="\\"))
    texts = {f"r{number}": expected(text) for number, text in enumerate(TEXTS)}
    # Spark escapes only inside quotes: a backslash at the end of a bare text escapes the delimiter
    # to other programs.
    assert [*loaded.rejected.values()] == ["has 5 columns where the header has 6"]
    assert {row: values["text"] for row, values in loaded.rows.items()} == {
        row: text for row, text in texts.items() if not (text or "").endswith("\\")
    }
    plain = writers.load(path)
    assert plain.rejected  # without the escape, a text in quotes is rejected
    for row, values in plain.rows.items():
        assert values["text"] == texts[row]
    assert len(plain.rows) + len(plain.rejected) == len(TEXTS)


@pytest.mark.parametrize("column", ["who", "amount", "flag", "at"])
@pytest.mark.parametrize("kind", ["array<int>", "struct<x:int>", "map<string,int>", "binary"])
def test_what_is_not_read_is_refused_by_name(spark, tmp_path, column, kind):
    frame(spark, **{**TYPES[0], column: kind}).coalesce(1).write.parquet(str(tmp_path / "out"))
    (path,) = parts(tmp_path / "out", ".parquet")
    with pytest.raises(DataError, match=f"the column '{column}' is "):
        writers.load(path)
