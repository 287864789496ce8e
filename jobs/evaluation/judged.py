"""The interface of a model's results on a holdout, for comparing models."""

from __future__ import annotations

from typing import Protocol

import numpy as np


class Comparable(Protocol):
    """Results of which a bootstrap can draw the units.

    The units (customers, users) are independent of each other and of the model, so that two models
    judged on the same rows can be compared unit by unit.
    """

    @property
    def units(self) -> int: ...

    def value(self, metric: str, weights: np.ndarray | None = None) -> float:
        """Return a metric with units weighted by `weights`; ConfigError lists the known metrics."""


class Judged(Comparable, Protocol):
    """A model's results on a holdout."""

    def summary(self) -> dict[str, float]:
        """Return every metric by name; NaN if it is undefined."""

    def slices(self, metric: str) -> dict[str, tuple[float, int]]:
        """Return the metric per slice, with its number of frauds (or users).

        `latest` is the last days.
        """
