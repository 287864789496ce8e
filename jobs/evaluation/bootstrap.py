"""Confidence intervals by the bootstrap (Efron 1979)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jobs.evaluation.judged import Comparable


def bootstrap_interval(
    ours: np.ndarray,
    theirs: np.ndarray | None = None,
    seed: int = 0,
    draws: int = 1000,
    level: float = 0.95,
) -> tuple[float, float]:
    """Return the percentile interval of the mean of `ours`, or of ours - theirs, paired.

    Both have one value per example, in the same order. (NaN, NaN) without examples.
    """
    values = (
        np.asarray(ours, float)
        if theirs is None
        else np.asarray(ours, float) - np.asarray(theirs, float)
    )
    if not len(values):
        return float("nan"), float("nan")
    chance = np.random.default_rng(seed)
    return _percentiles(
        np.array([chance.choice(values, len(values)).mean() for _ in range(draws)]), level
    )


def metric_interval(
    ours: Comparable,
    theirs: Comparable | None,
    metric: str,
    draws: int,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float]:
    """Return the percentile interval of a metric of `ours`, or of its gain over `theirs`.

    Both are resampled with the same units. (NaN, NaN) without units, or if no draw has the metric.
    """
    if not ours.units:
        return float("nan"), float("nan")
    chance, even = np.random.default_rng(seed), np.full(ours.units, 1 / ours.units)
    values = []
    for _ in range(draws):
        weights = chance.multinomial(ours.units, even)
        values.append(
            ours.value(metric, weights) - (theirs.value(metric, weights) if theirs else 0.0)
        )
    return _percentiles(np.array(values), level)


def _percentiles(values: np.ndarray, level: float) -> tuple[float, float]:
    numbers = values[~np.isnan(values)]
    if not len(numbers):
        return float("nan"), float("nan")
    low, high = np.quantile(numbers, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
