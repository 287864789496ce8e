"""docs/decisions/0024: extract and the loader read the same text differently, on purpose."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import pyarrow as pa
import pytest

from jobs.core.cast import typed
from jobs.source.convert import convert
from jobs.source.dialect import Dialect

TIME = pa.timestamp("us", "UTC")
UNREADABLE = "unreadable"


def extracted(text, arrow, money):
    frame = pd.DataFrame({"x": [text]}, dtype="object")
    (row,) = typed(frame, pa.schema({"x": arrow}), {"x": "x"} if money else {}).to_pylist()
    return UNREADABLE if row["problem"] else row["x"]


def loaded(text, kind):
    converted = convert(kind, pa.array([text]), Dialect())
    bad = any(rows.any() for rows in converted.problems.values())
    return UNREADABLE if bad else converted.values[0].as_py()


@pytest.mark.parametrize(
    ("kind", "arrow", "text", "extract", "load"),
    [
        ("number", pa.float64(), " 7", UNREADABLE, 7.0),
        ("number", pa.float64(), "", UNREADABLE, None),
        ("integer", pa.int64(), "5.0", UNREADABLE, 5),
        ("integer", pa.int64(), "3000000000", 3_000_000_000, UNREADABLE),
        ("flag", pa.bool_(), "yes", UNREADABLE, True),
        ("time", TIME, "2018", datetime(2018, 1, 1, tzinfo=UTC), UNREADABLE),
        ("time", TIME, "9999-12-31", UNREADABLE, datetime(9999, 12, 31, tzinfo=UTC)),
        ("text", pa.string(), " a ", " a ", "a"),
        ("text", pa.string(), "a\nb", "a\nb", UNREADABLE),
        ("money", pa.int64(), "12.345", UNREADABLE, "12.345"),
    ],
)
def test_extract_and_the_loader_read_it_differently(kind, arrow, text, extract, load):
    assert (extracted(text, arrow, kind == "money"), loaded(text, kind)) == (extract, load)
