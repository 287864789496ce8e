"""Decay: whether a model does worse on what has happened since than on the holdout that it won on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.core.bootstrap import metric_interval

if TYPE_CHECKING:
    from jobs.core.usecase import Judged


@dataclass(frozen=True)
class Pooled:
    """Results on several windows as one; see usecase.Judged. Windows without the metric (one class only) are left out."""

    windows: Sequence[Judged]

    @property
    def units(self) -> int:
        return sum(each.units for each in self.windows)

    def value(self, metric: str, weights: np.ndarray | None = None) -> float:
        """The mean over windows, each with the weight of its units; NaN where none has the metric."""
        every = np.ones(self.units) if weights is None else weights
        parts = np.split(every, np.cumsum([each.units for each in self.windows])[:-1])
        values = [each.value(metric, part) for each, part in zip(self.windows, parts, strict=True)]
        pairs = [(value, part.sum()) for value, part in zip(values, parts, strict=True) if value == value]
        total = sum(weight for _, weight in pairs)
        return float(sum(value * weight for value, weight in pairs) / total) if total else float("nan")

    def summary(self) -> dict[str, float]:
        raise NotImplementedError

    def slices(self, metric: str) -> dict[str, tuple[float, int]]:
        raise NotImplementedError


def windows(table: pa.Table, after: date, days: int, length: int) -> Iterator[tuple[pa.Table, pa.Table]]:
    """(what was known before, the window) of each whole window of `length` days, newest first, within the last `days`
    days of `table` and later than `after`; those without rows are left out.

    As long as the holdout of the baseline, so that both are judged alike.
    """
    dates = table["date"]
    end = pc.max(dates).as_py()
    while end and (start := end - timedelta(days=length - 1)) > max(after, pc.max(dates).as_py() - timedelta(days=days)):
        inside = pc.and_(pc.greater_equal(dates, pa.scalar(start)), pc.less_equal(dates, pa.scalar(end)))
        if (rows := table.filter(inside)).num_rows:
            yield table.filter(pc.less(dates, pa.scalar(start))), rows
        end = start - timedelta(days=1)


def explained_by_chance(judged: Judged, metric: str, limit: float, draws: int) -> bool:
    """Whether the upper end of the metric's 95 % interval over units reaches the limit."""
    return not metric_interval(judged, None, metric, draws)[1] < limit
