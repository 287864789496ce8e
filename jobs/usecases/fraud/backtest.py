"""Backtest of the fraud model as in the Fraud Detection Handbook (chapter 5.3, prequential).

Fold k trains on [start - k * test_days, + train_days), skips the delay, and tests on the next
test_days: each fold lies one test length before the last. It reads frames, fits, and writes
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

import numpy as np
import pyarrow as pa

from jobs.core.errors import DataError
from jobs.core.identity import days
from jobs.usecases.fraud import handbook, metrics, model
from jobs.usecases.fraud.params import FraudTrainParams

Metric = Literal["roc_auc", "average_precision", "card_precision_at_100"]
METRICS: tuple[Metric, ...] = ("roc_auc", "average_precision", "card_precision_at_100")


Measures = dict[Metric, float]  # of one model on one test set, or over folds


@dataclass(frozen=True)
class FoldResult:
    """The first and last days of a fold, and the metrics of both models on its test days."""

    train: list[date]
    test: list[date]
    rows: int
    rounds: int
    metrics: Measures
    baseline: Measures

    def as_row(self) -> dict[str, object]:
        row: dict[str, object] = {
            "train": list(map(str, self.train)),
            "test": list(map(str, self.test)),
            "rows": self.rows,
            "rounds": self.rounds,
        }
        return row | self.metrics


@dataclass(frozen=True)
class FoldSummary:
    """The folds, with mean and standard deviation of the model and of the baseline."""

    folds: list[FoldResult]
    mean: Measures
    std: Measures
    baseline: Measures
    baseline_std: Measures

    def as_json(self) -> dict[str, object]:
        return vars(self) | {"folds": [fold.as_row() for fold in self.folds]}


@dataclass(frozen=True)
class FoldPlan:
    """Which days each fold fits and tests on."""

    start: date
    folds: int
    train_days: int
    delay_days: int
    test_days: int

    def fold(self, k: int) -> tuple[list[date], list[date]]:
        """(training days, test days) of fold k; fold 0 is the latest."""
        first = self.start - timedelta(days=k * self.test_days)
        test = first + timedelta(days=self.train_days + self.delay_days)
        return (
            list(days(first, first + timedelta(days=self.train_days - 1))),
            list(days(test, test + timedelta(days=self.test_days - 1))),
        )

    @property
    def span(self) -> list[date]:
        """Every day from the first training day to the last test day."""
        return list(days(self.fold(self.folds - 1)[0][0], self.fold(0)[1][-1]))


def run(table: pa.Table, plan: FoldPlan, params: FraudTrainParams) -> Iterator[FoldResult]:
    """One result per fold: its days, and the metrics of the model and of the Handbook's baseline.

    `table` has one row per transaction of the span: FEATURES, those of the baseline, `date`,
    `customer_id` and `is_fraud`.
    """
    for k in range(plan.folds):
        train_days, test_days = plan.fold(k)
        train, test = _rows(table, train_days), _test_rows(table, plan, train_days, test_days)
        fitted = model.fit(train, params)
        baseline = handbook.fit_and_score(train, test, params.seed, params.threads)
        yield FoldResult(
            train=[train_days[0], train_days[-1]],
            test=[test_days[0], test_days[-1]],
            rows=test.num_rows,
            rounds=fitted.rounds,
            metrics=_measure(test, model.score(fitted, test)),
            baseline=_measure(test, baseline),
        )


def summarise(folds: list[FoldResult]) -> FoldSummary:
    """The folds, with mean and standard deviation of the model and of the baseline."""
    models, baselines = [fold.metrics for fold in folds], [fold.baseline for fold in folds]
    return FoldSummary(
        folds=folds,
        mean=_over(models, np.mean),
        std=_over(models, np.std),
        baseline=_over(baselines, np.mean),
        baseline_std=_over(baselines, np.std),
    )


def _over(rows: Sequence[Measures], function: Callable[[list[float]], np.floating]) -> Measures:
    return {name: float(function([row[name] for row in rows])) for name in METRICS}


def _test_rows(
    table: pa.Table, plan: FoldPlan, train_days: list[date], test_days: list[date]
) -> pa.Table:
    """The test days, without the customers whose fraud is known by then.

    Known on test day d: the frauds of the training days, and of days up to d - delay_days - 1.
    """
    known = _defrauded(table, train_days)
    parts = []
    for day in test_days:
        known |= _defrauded(table, [day - timedelta(days=plan.delay_days + 1)])
        rows = _rows(table, [day])
        parts.append(rows.filter(pa.array(~np.isin(rows["customer_id"].to_numpy(), list(known)))))
    return pa.concat_tables(parts)


def _defrauded(table: pa.Table, chosen: list[date]) -> set[str]:
    rows = _rows(table, chosen)
    return set(rows["customer_id"].to_numpy()[model.labels(rows) == 1])


def _rows(table: pa.Table, chosen: list[date]) -> pa.Table:
    wanted = np.array(chosen, dtype="datetime64[D]")
    rows = table.filter(pa.array(np.isin(table["date"].to_numpy(), wanted)))
    if not rows.num_rows:
        raise DataError(
            f"no transactions between {chosen[0]} and {chosen[-1]}",
            remedy="choose --start, --folds and the lengths so that every day lies "
            "within what the source holds",
        )
    return rows


def _measure(test: pa.Table, scores: np.ndarray) -> Measures:
    truth = model.labels(test)
    return {
        "roc_auc": metrics.roc_auc(truth, scores),
        "average_precision": metrics.average_precision(truth, scores),
        "card_precision_at_100": metrics.card_precision(
            truth, scores, test["date"].to_numpy(), test["customer_id"].to_numpy()
        ),
    }
