"""Backtest of the models of movies: split, fit, recommend, compare. Writes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

import pyarrow as pa

from jobs.core.errors import ConfigError
from jobs.evaluation.bootstrap import bootstrap_interval
from jobs.usecases.movies import model
from jobs.usecases.movies.evaluation import JudgedRankings
from jobs.usecases.movies.params import MoviesTrainParams
from jobs.usecases.movies.recommend import ALGORITHMS
from jobs.usecases.movies.split import split
from jobs.usecases.movies.tables import TOP

BELOW = {"hybrid": "collaborative", "collaborative": "popular"}


@dataclass(frozen=True)
class SplitPlan:
    """How the interactions are split.

    `time` holds out the latest interactions, `stratified` some of each user's.
    """

    split: Literal["time", "stratified"] = "time"
    ratio: float = 0.75
    seed: int = 0
    k: int = 10

    def __post_init__(self) -> None:
        if not 1 <= self.k <= TOP or not 0 < self.ratio < 1:
            raise ConfigError(
                f"k = {self.k}, ratio = {self.ratio:g}",
                remedy=f"k from 1 to {TOP}, ratio between 0 and 1",
            )


@dataclass(frozen=True)
class AlgorithmResult:
    """The means of the measures over users, by `<measure>_at_<k>`, with their 95 % intervals.

    `gain` is the paired interval of the gain in nDCG over `compared_with`, the algorithm that it
    should beat; both are None where BELOW has none.
    """

    algorithm: str
    means: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    compared_with: str | None = None
    gain: tuple[float, float] | None = None

    def as_row(self) -> dict[str, object]:
        row: dict[str, object] = {"algorithm": self.algorithm, **self.means}
        row |= {f"{name}_interval": list(interval) for name, interval in self.intervals.items()}
        if self.compared_with and self.gain:
            row |= {"compared_with": self.compared_with, "difference_interval": list(self.gain)}
        return row


@dataclass(frozen=True)
class BacktestResult:
    """One result per algorithm; the users, how many had no history, and how training decided."""

    algorithms: list[AlgorithmResult]
    users: int
    cold_users: int
    decisions: dict[str, object]
    validation: dict[str, float]

    def as_json(self) -> dict[str, object]:
        return {
            "rows": [result.as_row() for result in self.algorithms],
            "users": self.users,
            "cold_users": self.cold_users,
            "chosen": self.decisions,
            "validation": self.validation,
        }


def run(
    table: pa.Table, plan: SplitPlan, params: MoviesTrainParams, catalogue: pa.Table | None = None
) -> BacktestResult:
    """The results of every algorithm on the rows that the plan holds out.

    Training decides within its own rows, which are split in the same way.
    """
    early, late = split(table, plan.split, plan.ratio, plan.seed)
    fitted = model.fit(
        early, params.model_copy(update={"validation": plan.split, "seed": plan.seed}), catalogue
    )
    judged = model.judge(fitted, early, late)
    return BacktestResult(
        algorithms=[_result(judged, name, plan) for name in ALGORITHMS],
        users=len(judged.users),
        cold_users=int((judged.activity == 0).sum()),
        decisions=model.decisions(fitted),
        validation=fitted.hybrid.figures,
    )


def _result(judged: JudgedRankings, name: str, plan: SplitPlan) -> AlgorithmResult:
    by_user, interval = judged.at(name, plan.k), partial(bootstrap_interval, seed=plan.seed)
    means = {measure: float(values.mean()) for measure, values in by_user.items()}
    intervals = {measure: interval(values) for measure, values in by_user.items()}
    if name not in BELOW:
        return AlgorithmResult(name, means, intervals)
    below, ndcg = BELOW[name], f"ndcg_at_{plan.k}"
    gain = interval(by_user[ndcg], judged.at(below, plan.k)[ndcg])
    return AlgorithmResult(name, means, intervals, below, gain)
