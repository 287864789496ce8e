"""Decay: windows as long as the holdout, a loss beyond chance, and cases that cannot be judged."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest

from jobs.core.params import CheckDriftParams
from jobs.evaluation import decay
from jobs.evaluation.reference import Reference

PARAMS = CheckDriftParams(metric="accuracy", max_degradation=0.05)
KNOWN = Reference(pa.table({"split": ["holdout"] * 10}), date(2018, 6, 1), 7, {"accuracy": 0.9})


@dataclass
class Hits:
    """Results with a share of units as metric; without any unit that counts, there is none."""

    hits: np.ndarray

    @property
    def units(self):
        return len(self.hits)

    def value(self, metric, weights=None):
        return float("nan") if not len(self.hits) else float(np.average(self.hits, weights=weights))


def hits(count, share):
    return Hits((np.arange(count) < share * count).astype(float))


def table(first, last):
    every = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    return pa.table({"date": pa.array(every, pa.date32())})


def bounds(after, days=30, length=7):
    windows = decay.windows(table(date(2018, 6, 1), date(2018, 7, 10)), after, days, length)
    return [
        (str(min(part["date"].to_pylist())), part.num_rows, known.num_rows)
        for known, part in windows
    ]


def test_windows_are_whole_newest_first_and_younger_than_what_was_fitted():
    assert bounds(date(2018, 6, 26)) == [("2018-07-04", 7, 33), ("2018-06-27", 7, 26)]
    assert bounds(date(2018, 6, 27)) == [("2018-07-04", 7, 33)]
    assert bounds(date(2018, 7, 4)) == []


def test_windows_go_back_no_further_than_the_days_to_judge():
    assert len(bounds(date(2018, 5, 1))) == 4
    assert len(bounds(date(2018, 5, 1), days=15)) == 2


def test_a_loss_beyond_the_limit_that_chance_does_not_explain_is_decay():
    result = decay.check(decay.Pooled([hits(2000, 0.8), hits(1000, 0.8)]), KNOWN, PARAMS, 3000)
    assert (
        not result.passed
        and result.value == pytest.approx(0.8)
        and result.threshold == pytest.approx(0.855)
    )
    assert result.severity == "fail" and result.rows == 3000 and result.reference_rows == 10


def test_the_same_loss_on_few_units_is_within_chance():
    result = decay.check(decay.Pooled([hits(30, 0.8)]), KNOWN, PARAMS, 30)
    assert result.passed and "within chance" in result.message


def test_a_smaller_loss_is_no_decay():
    result = decay.check(decay.Pooled([hits(3000, 0.87)]), KNOWN, PARAMS, 3000)
    assert result.passed and "chance" not in result.message


def test_a_window_without_the_metric_is_left_out_of_the_mean():
    pooled = decay.Pooled([hits(100, 0.5), Hits(np.zeros(0)), hits(300, 0.9)])
    assert pooled.units == 400 and pooled.value("accuracy") == pytest.approx(0.8)
    weights = np.concatenate([np.full(100, 3), np.ones(300)])
    assert pooled.value("accuracy", weights) == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("windows", "known", "reason"),
    [
        ([], KNOWN, "nothing labelled is younger"),
        ([Hits(np.zeros(0))], KNOWN, "the labels are of one class"),
        (
            [hits(100, 0.1)],
            Reference(KNOWN.rows, KNOWN.fitted_until, 7, {}),
            "the reference has no accuracy",
        ),
    ],
)
def test_what_cannot_be_judged_passes_and_says_why(windows, known, reason):
    result = decay.check(decay.Pooled(windows), known, PARAMS, 0)
    assert result.passed and result.value is None and reason in result.message
