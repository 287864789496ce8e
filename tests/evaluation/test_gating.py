"""The gate's checks on real judgements: margins, intervals, slices, floors, nulls, size, time."""

from __future__ import annotations

from math import isnan, nan

import numpy as np
import pyarrow as pa
import pytest

from jobs.core.checks import failed
from jobs.core.errors import ConfigError
from jobs.core.params import GateParams
from jobs.evaluation import gating
from jobs.evaluation.bootstrap import metric_interval
from jobs.usecases.fraud.evaluation import JudgedScores

PARAMS = GateParams(
    metric="roc_auc", min_margin=0.01, floors={"roc_auc": 0.7, "recall": 0.1}, draws=50
)
GOOD = {"roc_auc": 0.9, "recall": 0.5, "average_precision": 0.6}
ROWS, CUSTOMERS = 6_000, 600
CHANCE = np.random.default_rng(5)
LABELS = (CHANCE.random(ROWS) < 0.05).astype(np.int8)
OF_CUSTOMERS = CHANCE.integers(0, CUSTOMERS, ROWS)
NOISE = CHANCE.normal(size=ROWS)
NIGHT = CHANCE.random(ROWS) < 0.4


def judged(skill, labels=LABELS, night_skill=None, rows=slice(None)):
    """A model that separates the classes by `skill` standard deviations, or `night_skill`."""
    by_row = np.where(NIGHT, skill if night_skill is None else night_skill, skill)
    scores = labels * by_row + NOISE
    days = np.repeat(np.arange(ROWS // 1000), 1000).astype("datetime64[D]")
    night = {"night": NIGHT[rows], "never": np.zeros(ROWS, bool)[rows]}
    return JudgedScores(
        labels[rows], scores[rows], days[rows], OF_CUSTOMERS[rows].astype(str), 0.5, night
    )


def names(checks):
    return [check.name for check in failed(checks)]


def test_a_better_challenger_passes_and_an_equal_or_worse_one_does_not():
    champion = judged(1.0)
    assert names(gating.against(judged(1.5), champion, PARAMS)) == []
    assert names(gating.against(judged(1.0), champion, PARAMS)) == ["margin.roc_auc"]
    assert "margin.roc_auc" in names(gating.against(judged(0.2), champion, PARAMS))


def test_without_a_margin_the_equal_passes_and_below_zero_the_slightly_worse():
    champion, even = judged(1.0), PARAMS.model_copy(update={"min_margin": 0.0})
    assert names(gating.against(judged(1.0), champion, even)) == []
    lenient = PARAMS.model_copy(update={"min_margin": -0.05})
    assert names(gating.against(judged(0.9), champion, lenient)) == []


def test_the_interval_of_the_gain_is_paired_and_covers_it():
    ours, theirs = judged(1.2), judged(1.0)
    gain = ours.value("roc_auc") - theirs.value("roc_auc")
    low, high = metric_interval(ours, theirs, "roc_auc", draws=100)
    assert low < gain < high
    alone = metric_interval(ours, None, "roc_auc", draws=100)
    assert high - low < (alone[1] - alone[0]) / 2, "what both get wrong alike does not count"
    assert metric_interval(ours, theirs, "roc_auc", draws=100) == (low, high)


def test_a_customer_counts_as_often_as_it_is_drawn():
    ours, weights = judged(1.0), np.zeros(CUSTOMERS, int)
    weights[: CUSTOMERS // 2] = 3
    ids = sorted({str(each) for each in range(CUSTOMERS)})
    kept = np.isin(OF_CUSTOMERS.astype(str), ids[: CUSTOMERS // 2])
    half = JudgedScores(
        ours.labels[kept], ours.scores[kept], ours.days[kept], ours.customers[kept], 0.5, {}
    )
    for metric in ("roc_auc", "average_precision"):
        assert ours.value(metric, weights) == pytest.approx(half.value(metric))
        assert ours.value(metric, np.ones(CUSTOMERS, int)) == pytest.approx(ours.value(metric))


@pytest.mark.parametrize(("min_low", "wrong"), [(-0.5, []), (0.5, ["low.roc_auc"]), (None, [])])
def test_the_low_end_of_the_gain_decides_where_params_say_so(min_low, wrong):
    params = PARAMS.model_copy(update={"min_low": min_low})
    assert names(gating.against(judged(1.5), judged(1.0), params)) == wrong


def test_a_model_that_was_rolled_back_must_win_beyond_chance():
    even = PARAMS.model_copy(update={"min_margin": -1.0})
    assert names(gating.against(judged(1.005), judged(1.0), even)) == []
    assert names(gating.against(judged(1.0), judged(1.0), even, again=True)) == ["rolled_back"]
    assert names(gating.against(judged(1.5), judged(1.0), even, again=True)) == []


def test_no_slice_may_lose_more_than_params_allow_and_a_small_one_is_not_judged():
    challenger, champion = judged(2.0, night_skill=0.5), judged(1.0)
    checks = {check.name: check for check in gating.against(challenger, champion, PARAMS)}
    assert checks["margin.roc_auc"].passed, "better on the whole"
    assert (
        not checks["slice.night"].passed
        and checks["slice.night"].threshold == -PARAMS.max_slice_loss
    )
    assert checks["slice.never"].passed and "too few to judge" in checks["slice.never"].message


@pytest.mark.parametrize("labels", [np.zeros(ROWS, np.int8), np.ones(ROWS, np.int8)])
def test_one_class_alone_passes_nothing(labels):
    checks = list(gating.against(judged(1.0, labels), judged(1.0, labels), PARAMS))
    assert "margin.roc_auc" in names(checks)
    assert all(
        isnan(end) for end in metric_interval(judged(1.0, labels), None, "roc_auc", draws=50)
    )


def test_no_rows_give_no_interval_and_pass_nothing():
    nothing = judged(1.0, rows=slice(0, 0))
    assert nothing.units == 0
    assert names(gating.against(nothing, nothing, PARAMS)) == ["margin.roc_auc"]


def test_a_metric_that_cannot_be_compared_names_those_that_can():
    with pytest.raises(ConfigError, match="roc_auc, average_precision"):
        judged(1.0).value("card_precision_at_100")


def test_floors_and_ceilings_hold_and_keep_what_was_compared():
    params = PARAMS.model_copy(update={"ceilings": {"calibration_error": 0.02}})
    good = GOOD | {"calibration_error": 0.01}
    assert names(gating.absolute(good, params)) == []
    assert names(gating.absolute(good | {"roc_auc": 0.69}, params)) == ["floor.roc_auc"]
    assert names(gating.absolute(good | {"roc_auc": nan}, params)) == ["floor.roc_auc"]
    assert names(gating.absolute(good | {"calibration_error": nan}, params)) == [
        "ceiling.calibration_error"
    ]
    floor, *_ = gating.absolute(good, params)
    assert (floor.value, floor.threshold) == (0.9, 0.7) and str(floor).startswith(
        "ok floor.roc_auc"
    )


def test_a_column_that_became_null_more_often_is_named():
    train = pa.table({"a": [1.0, 2.0, None, 4.0], "b": [None, None, 1.0, 1.0]})
    holdout = pa.table({"a": [None, None, None, 4.0], "b": [None, 1.0, 1.0, 1.0]})
    check = gating.null_growth(train, holdout, ("a", "b"), PARAMS)
    assert (
        not check.passed and check.value == 0.5 and check.message.startswith("a is null in 75.0%")
    )
    assert gating.null_growth(train, train, ("a", "b"), PARAMS).passed
    assert gating.null_growth(train, holdout, ("b",), PARAMS).passed, (
        "other columns may be null as they like"
    )


def test_a_large_model_is_stopped_and_a_slow_one_only_reported():
    size, latency = gating.footprint(2**30, seconds=10.0, examples=1000, params=PARAMS)
    assert (size.value, size.passed, size.severity) == (1024, False, "fail")
    assert (latency.value, latency.passed, latency.severity) == (10_000, False, "warn")
