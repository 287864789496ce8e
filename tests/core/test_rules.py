"""Building blocks of rules: the first reason counts, and bad text is detected in every column."""

from __future__ import annotations

import pandas as pd
import pytest

from jobs.core.rules import first_of, garbled

ROWS = pd.DataFrame({"n": [1.0, -1.0, None, -5.0]})


def reasons(rows, *rules):
    result = first_of(rows, *rules)
    return [None if pd.isna(reason) else reason for reason in result]


def test_the_first_rule_broken_is_the_reason():
    result = reasons(ROWS, (ROWS["n"] < -2, "far below"), (ROWS["n"] < 0, "below"))
    assert result == [None, "below", None, "far below"]


def test_unknown_is_not_broken():
    values = ROWS["n"].astype("Float64")
    assert reasons(ROWS, (values < 0, "below")) == [None, "below", None, "below"]
    nothing = pd.Series([None] * 4, dtype="boolean")
    assert reasons(ROWS, (nothing, "broken")) == [None] * 4


def test_reasons_stand_beside_the_rows_whatever_their_index():
    rows = ROWS.set_index(pd.Index([9, 3, 7, 1]))
    result = first_of(rows, (rows["n"] < 0, "below"))
    assert result.index.tolist() == [9, 3, 7, 1] and result[3] == result[1] == "below"


def test_no_rules_and_no_rows_have_no_reasons():
    assert reasons(ROWS) == [None] * 4
    assert reasons(ROWS[:0], (ROWS["n"][:0] < 0, "below")) == []


@pytest.mark.parametrize(
    ("text", "bad"),
    [
        ("", False),
        ("plain", False),
        (None, False),
        ("Zürich ß", False),
        ("千と千尋の神隠し", False),
        ("👩‍👩‍👧 e\u0301 \u200f\u05d0\u2028", False),
        ("\ue000\U0010ffff", False),
        ("Z\ufffdrich", True),
        ("tab\t", True),
        ("two\nlines", True),
        ("\x00", True),
        ("\x7f", True),
        ("\x1f", True),
    ],
)
def test_garbled_text_is_found_in_any_column(text, bad):
    rows = pd.DataFrame({"one": ["fine", "fine"], "other": ["fine", text], "n": [1, 2]})
    assert garbled(rows).tolist() == [False, bad]


def test_columns_without_a_text_are_not_garbled():
    assert (
        garbled(pd.DataFrame({"one": [None, None], "other": ["a", "b"]}, dtype="object")).tolist()
        == [False] * 2
    )
    assert garbled(pd.DataFrame({"one": []}, dtype="object")).tolist() == []
