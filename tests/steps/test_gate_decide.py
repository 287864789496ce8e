"""decide: the checks of a challenger, and what they come to."""

from __future__ import annotations

from math import inf, nan

import pytest

from jobs.core.checks import failed
from jobs.core.params import GateParams
from jobs.steps.gate import decide

PARAMS = GateParams(metric="average_precision", min_margin=0.01, floors={"roc_auc": 0.7, "recall": 0.1})
GOOD = {"roc_auc": 0.9, "recall": 0.5, "average_precision": 0.6}


def failures(challenger, champion, params=PARAMS):
    """Names of the checks that stop the promotion; names of all are looked at on the way."""
    checks = decide(challenger, champion, params)
    last = "first_run" if champion is None else f"margin.{params.metric}"
    assert [check.name for check in checks] == [*(f"floor.{name}" for name in params.floors), last]
    return [check.name for check in failed(checks)]


@pytest.mark.parametrize(
    ("champion", "wrong"),
    [
        (0.5, []), (0.59, []), (0.5900001, ["margin.average_precision"]), (0.6, ["margin.average_precision"]),
        (0.9, ["margin.average_precision"]), (nan, ["margin.average_precision"]),
    ],
)  # fmt: skip
def test_the_challenger_must_win_by_the_margin(champion, wrong):
    challenger = GOOD | {"average_precision": 0.6 + 1e-12}  # 0.6 - 0.59 is not 0.01 in binary
    assert failures(challenger, GOOD | {"average_precision": champion}) == wrong


def test_without_a_margin_the_equal_passes_and_below_zero_the_slightly_worse():
    even = PARAMS.model_copy(update={"min_margin": 0.0})
    assert failures(GOOD, GOOD, even) == []
    lenient = PARAMS.model_copy(update={"min_margin": -0.1})
    assert failures(GOOD | {"average_precision": 0.51}, GOOD, lenient) == []
    assert failures(GOOD | {"average_precision": 0.49}, GOOD, lenient) == ["margin.average_precision"]


@pytest.mark.parametrize("champion", [None, {"average_precision": 0.0}])
def test_floors_hold_with_and_without_a_champion(champion):
    assert failures(GOOD | {"roc_auc": 0.7, "recall": 0.1}, champion) == []
    assert failures(GOOD | {"roc_auc": 0.69}, champion) == ["floor.roc_auc"]
    assert failures(GOOD | {"roc_auc": 0.0, "recall": 0.0}, champion) == ["floor.roc_auc", "floor.recall"]


def test_the_first_challenger_meets_the_floors_alone_and_a_check_says_so():
    *_, first = decide({**GOOD, "average_precision": 0.0}, None, PARAMS)
    assert (first.name, first.passed, first.severity) == ("first_run", True, "warn")
    assert "no champion" in first.message
    free = GateParams()
    assert failures(GOOD, None, free) == []


@pytest.mark.parametrize("champion", [None, GOOD])
def test_a_metric_that_is_no_number_passes_nothing(champion):
    assert "floor.roc_auc" in failures(GOOD | {"roc_auc": nan}, champion)
    assert failures(dict.fromkeys(GOOD, nan), GOOD) == [
        "floor.roc_auc",
        "floor.recall",
        "margin.average_precision",
    ]


def test_the_values_that_were_compared_are_kept():
    checks = {check.name: check for check in decide(GOOD, GOOD | {"average_precision": 0.2}, PARAMS)}
    assert (checks["floor.recall"].value, checks["floor.recall"].threshold) == (0.5, 0.1)
    margin = checks["margin.average_precision"]
    assert (margin.value, margin.threshold) == (pytest.approx(0.4), 0.01)
    assert "0.6000 against the champion's 0.2000" in margin.message
    assert str(margin).startswith("ok margin.average_precision")


def test_an_infinite_loss_is_a_loss():
    assert failures(GOOD | {"average_precision": -inf}, GOOD) == ["margin.average_precision"]


@pytest.mark.parametrize(("low", "min_low", "wrong"), [
    (-0.02, -0.03, []), (-0.04, -0.03, ["low.average_precision"]), (nan, -0.03, ["low.average_precision"]),
    (-0.5, None, []),
])  # fmt: skip
def test_the_low_end_of_the_gain_decides_where_params_say_so(low, min_low, wrong):
    params = GateParams(min_low=min_low)
    checks = decide(GOOD, GOOD, params, (low, 0.01))
    assert [check.name for check in failed(checks)] == wrong
    assert [check.name for check in checks] == ["margin.average_precision", "low.average_precision"]
    assert checks[-1].passed == (low >= (params.min_margin if min_low is None else min_low))
