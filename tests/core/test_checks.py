"""Checks: a severity each; only a failed `fail` stops."""

from __future__ import annotations

import pytest

from jobs.core.checks import Check, at_least, at_most, enforce, equal, failed
from jobs.core.errors import DataError

NAN = float("nan")


@pytest.mark.parametrize(
    ("check", "passed"),
    [
        (equal("n", 3, 3), True),
        (equal("n", 3, 4), False),
        (equal("n", NAN, NAN), False),
        (at_least("n", 0.5, 0.5), True),
        (at_least("n", 0.49, 0.5), False),
        (at_least("n", NAN, 0.5), False),
        (at_most("n", 0.5, 0.5), True),
        (at_most("n", 0.51, 0.5), False),
        (at_most("n", NAN, 0.5), False),
    ],
)
def test_comparisons_hold_at_the_threshold_and_never_for_nan(check, passed):
    assert check.passed is passed


def test_a_warning_does_not_stop():
    warned = at_least("volume", 1, 2, severity="warn")
    assert failed([warned]) == []
    enforce([warned, equal("rows", 1, 1)], remedy="none needed")


def test_every_failure_is_named_at_once_and_nothing_else():
    checks = [
        equal("rows", 1, 2),
        equal("dates", 0, 0),
        at_most("bad", 0.3, 0.01, message="look in quarantine"),
        at_least("volume", 1, 2, severity="warn"),
    ]
    with pytest.raises(DataError) as caught:
        enforce(checks, remedy="mend the source", input="fraud/extract/2018-07-10")
    text = str(caught.value)
    assert "rows: 1 against 2" in text and "bad: 0.3 against 0.01 look in quarantine" in text
    assert "volume" not in text and "dates" not in text
    assert "mend the source" in text and "fraud/extract/2018-07-10" in text


def test_counts_are_written_out():
    assert "1016507 against 1016508" in str(equal("rows", 1_016_507, 1_016_508))
    assert "0.3 against 0.01" in str(at_most("bad", 0.1 + 0.2, 0.01))


def test_the_mark_is_the_severity():
    assert str(equal("n", 1, 1)).startswith("ok ")
    assert str(equal("n", 1, 2)).startswith("FAIL ")
    assert str(at_least("n", 1, 2, severity="warn")).startswith("WARN ")


def test_a_check_is_stored_whole():
    check = at_least("roc_auc", 0.8, 0.7, severity="warn", message="floor")
    assert Check(**check.as_row()) == check


@pytest.mark.parametrize(
    ("value", "threshold", "text"),
    [
        (0.123456789012, 0.5, "0.1235 against 0.5"),
        (0.79999, 0.8, "0.79999 against 0.8"),
        (-0.012345678, 0, "-0.01235 against 0"),
        (1e18, 1e18 + 4096, "1000000000000000000 against 1000000000000004096"),
        (float("nan"), 0.5, "nan against 0.5"),
        (float("inf"), 1, "inf against 1"),
    ],
)
def test_numbers_are_as_long_as_it_takes_to_tell_them_apart(value, threshold, text):
    assert text in str(at_least("metric", value, threshold))
