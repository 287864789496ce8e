"""Backtest of the models of movies: split, fit, recommend, compare. Writes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import pyarrow as pa

from jobs.core.errors import ConfigError
from jobs.evaluation.bootstrap import bootstrap_interval
from jobs.usecases.movies import model
from jobs.usecases.movies.evaluation import Judged
from jobs.usecases.movies.params import TrainParams
from jobs.usecases.movies.recommend import ALGORITHMS
from jobs.usecases.movies.split import split
from jobs.usecases.movies.tables import TOP

BELOW = {"hybrid": "collaborative", "collaborative": "popular"}


@dataclass(frozen=True)
class Plan:
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


def run(
    table: pa.Table, plan: Plan, params: TrainParams, catalogue: pa.Table | None = None
) -> dict[str, Any]:
    """One row per algorithm in `rows`, and how training decided.

    A row has the means over users with their 95 % intervals (`<measure>_interval`), and, for the
    algorithms of BELOW, the paired interval of the gain in nDCG over the algorithm that it should
    beat. `users` and model.decisions describe the fit.

    Training decides within its own rows, which are split in the same way.
    """
    early, late = split(table, plan.split, plan.ratio, plan.seed)
    fitted = model.fit(
        early, params.model_copy(update={"validation": plan.split, "seed": plan.seed}), catalogue
    )
    judged = model.judge(fitted, early, late)
    return {
        "rows": [_row(judged, name, plan) for name in ALGORITHMS],
        "users": len(judged.users),
        "cold_users": int((judged.activity == 0).sum()),
        "chosen": model.decisions(fitted),
        "validation": fitted.hybrid.figures,
    }


def _row(judged: Judged, name: str, plan: Plan) -> dict[str, Any]:
    values, interval = judged.at(name, plan.k), partial(bootstrap_interval, seed=plan.seed)
    row: dict[str, Any] = {"algorithm": name} | {
        measure: float(each.mean()) for measure, each in values.items()
    }
    row |= {f"{measure}_interval": list(interval(each)) for measure, each in values.items()}
    if name in BELOW:
        below, ndcg = BELOW[name], f"ndcg_at_{plan.k}"
        difference = interval(values[ndcg], judged.at(below, plan.k)[ndcg])
        row |= {"compared_with": below, "difference_interval": list(difference)}
    return row
