"""How sure a mean is: the bootstrap."""

from __future__ import annotations

import numpy as np


def bootstrap_interval(
    ours: np.ndarray, theirs: np.ndarray | None = None, seed: int = 0, draws: int = 1000, level: float = 0.95
) -> tuple[float, float]:
    """The percentile interval of the mean of `ours`, or of ours - theirs, paired (Efron 1979).

    One value an example, of both in one order. (NaN, NaN) without examples.
    """
    values = (
        np.asarray(ours, float) if theirs is None else np.asarray(ours, float) - np.asarray(theirs, float)
    )
    if not len(values):
        return float("nan"), float("nan")
    chance = np.random.default_rng(seed)
    means = [chance.choice(values, len(values)).mean() for _ in range(draws)]
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
