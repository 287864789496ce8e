"""Judges a model on held-out transactions: overall, by slice, and with weighted customers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from jobs.core.errors import ConfigError
from jobs.usecases.fraud import metrics

LATEST_DAYS = 2
LARGE = 15_000  # minor units; about the upper 2 % of amounts
FEW = 5  # transactions of a customer in 30 days
WEIGHTED = {"roc_auc": metrics.roc_auc, "average_precision": metrics.average_precision}


@dataclass(frozen=True, eq=False)
class JudgedScores:
    """One value per transaction of the holdout. The units are customers, whose rows correlate.

    `slices_of` maps a slice to the transactions in it.
    """

    labels: np.ndarray
    scores: np.ndarray
    days: np.ndarray
    customers: np.ndarray
    threshold: float
    slices_of: dict[str, np.ndarray]

    @property
    def units(self) -> int:
        return int(self._unit.max(initial=-1)) + 1

    @cached_property
    def _unit(self) -> np.ndarray:
        """The place of each row's customer among their ids."""
        return np.unique(self.customers, return_inverse=True)[1]

    def summary(self) -> dict[str, float]:
        """Every metric of metrics.summary."""
        return metrics.summary(self.labels, self.scores, self.days, self.customers, self.threshold)

    def value(self, metric: str, weights: np.ndarray | None = None) -> float:
        """ROC AUC or average precision, with each customer counted as often as `weights` says.

        `weights` are in the order of the customers' ids.
        """
        if metric not in WEIGHTED:
            raise ConfigError(
                f"{metric!r} cannot be compared with a bootstrap",
                remedy=f"choose one of {', '.join(WEIGHTED)}",
            )
        if weights is None:
            return WEIGHTED[metric](self.labels, self.scores)
        rows = weights[self._unit]
        kept = rows > 0
        return WEIGHTED[metric](self.labels[kept], self.scores[kept], rows[kept])

    def slices(self, metric: str) -> dict[str, tuple[float, int]]:
        """The metric in each slice, NaN if a class is missing, and its number of frauds."""
        return {
            name: (
                WEIGHTED[metric](self.labels[rows], self.scores[rows]),
                int(self.labels[rows].sum()),
            )
            for name, rows in self.slices_of.items()
        }


def slices(holdout: pa.Table) -> dict[str, np.ndarray]:
    """Which rows are in which slice: latest days, night, large amounts, rare customers."""
    days = holdout["date"].to_numpy()
    amounts, nights = (np.asarray(holdout[name].to_numpy(), float) for name in ("amount", "night"))
    seen = np.nan_to_num(
        np.asarray(holdout["customer_count_30"].to_numpy(zero_copy_only=False), float)
    )
    latest = (
        days > days.max() - np.timedelta64(LATEST_DAYS, "D") if len(days) else np.zeros(0, bool)
    )
    return {
        "latest": latest,
        "night": nights == 1,
        "large_amount": amounts >= LARGE,
        "new_customer": seen < FEW,
    }
