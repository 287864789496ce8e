"""What a model's results on a holdout offer to those who compare models."""

from __future__ import annotations

from typing import Protocol

import numpy as np


class Judged(Protocol):
    """A model's results on a holdout. Its units (customers, users) are independent of each other and do not depend on
    the model, so that two models judged on the same rows can be compared unit by unit."""

    @property
    def units(self) -> int: ...

    def summary(self) -> dict[str, float]:
        """Every metric by name; NaN where it cannot be had."""

    def value(self, metric: str, weights: np.ndarray | None = None) -> float:
        """A metric in which each unit counts as often as `weights` says; ConfigError names those there are."""

    def slices(self, metric: str) -> dict[str, tuple[float, int]]:
        """The metric in each slice of the holdout, and how many frauds, or users, it rests on; `latest` is the last days."""
