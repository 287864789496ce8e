"""Decay: whether a model scores worse on newer labelled days than on its own holdout."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.core.params import CheckDriftParams
from jobs.evaluation.bootstrap import metric_interval
from jobs.evaluation.reference import Reference
from jobs.evaluation.watched import Outcome

if TYPE_CHECKING:
    from jobs.evaluation.judged import Judged


@dataclass(frozen=True)
class Pooled:
    """Results on several windows as one.

    Windows without the metric (one class only) are left out.
    """

    windows: Sequence[Judged]

    @property
    def units(self) -> int:
        return sum(window.units for window in self.windows)

    def value(self, metric: str, weights: np.ndarray | None = None) -> float:
        """Return the mean over windows, weighted by their units.

        NaN if no window has the metric.
        """
        every = np.ones(self.units) if weights is None else weights
        parts = np.split(every, np.cumsum([window.units for window in self.windows])[:-1])
        # A small window without any drawn unit has no metric.
        drawn = [(w, part) for w, part in zip(self.windows, parts, strict=True) if part.sum()]
        pairs = [(window.value(metric, part), part.sum()) for window, part in drawn]
        pairs = [(value, weight) for value, weight in pairs if value == value]
        total = sum(weight for _, weight in pairs)
        return (
            float(sum(value * weight for value, weight in pairs) / total) if total else float("nan")
        )


def windows(
    table: pa.Table, after: date, days: int, length: int
) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Yield (rows before the window, rows of the window) for complete windows, newest first.

    Windows have `length` days, as many as the baseline's holdout, so that both are judged alike.
    They lie within the last `days` days of `table` and after `after`; windows without rows are left
    out.
    """
    dates = table["date"]
    end = pc.max(dates).as_py()
    while end and (start := end - timedelta(days=length - 1)) > max(
        after, pc.max(dates).as_py() - timedelta(days=days)
    ):
        inside = pc.and_(
            pc.greater_equal(dates, pa.scalar(start)), pc.less_equal(dates, pa.scalar(end))
        )
        if (rows := table.filter(inside)).num_rows:
            yield table.filter(pc.less(dates, pa.scalar(start))), rows
        end = start - timedelta(days=1)


def check(judged: Pooled, reference: Reference, params: CheckDriftParams, rows: int) -> Outcome:
    """Compare the metric on `rows` of all windows with the one on the reference's holdout.

    Decay is a loss of more than `max_degradation` that chance does not explain: the upper end of
    the 99 % interval over units must be below the limit too. Not judged without labels, or if they
    are of one class.
    """
    metric, baseline = params.metric, reference.baseline.get(params.metric)
    value = judged.value(metric) if judged.windows else float("nan")
    reference_rows = reference.of("holdout").num_rows
    if baseline is None or value != value:
        reason = _unjudged(judged, metric, baseline)
        return _outcome(metric, None, None, True, rows, reference_rows, f"not judged: {reason}")
    limit = baseline * (1 - params.max_degradation)
    chance = value < limit and explained_by_chance(judged, metric, limit, params.draws)
    message = f"{value:.4f} on {len(judged.windows)} windows, {baseline:.4f} on its own holdout"
    message += "; within chance" if chance else ""
    return _outcome(metric, value, limit, value >= limit or chance, rows, reference_rows, message)


def _unjudged(judged: Pooled, metric: str, baseline: float | None) -> str:
    if not judged.windows:
        return "nothing labelled is younger than what the champion was fitted on"
    return f"the reference has no {metric}" if baseline is None else "the labels are of one class"


def _outcome(
    metric: str,
    value: float | None,
    limit: float | None,
    passed: bool,
    rows: int,
    reference_rows: int,
    message: str,
) -> Outcome:
    return Outcome(
        "labelled",
        "target",
        metric,
        "relative_loss",
        value,
        limit,
        "fail",
        passed,
        rows,
        reference_rows,
        message,
    )


def explained_by_chance(judged: Pooled, metric: str, limit: float, draws: int) -> bool:
    """Whether the upper end of the metric's 99 % interval over units reaches the limit.

    Wider than usual, since the baseline is an estimate too, and every night judges the same windows
    again.
    """
    return not metric_interval(judged, None, metric, draws, level=0.99)[1] < limit
