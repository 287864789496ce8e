"""`nightshift backtest movies`: compare the algorithms on all rows of the source."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from jobs.core.settings import Settings
    from jobs.usecases.movies.backtest import AlgorithmResult, BacktestResult

EXPERIMENT = "movies-backtest"


class SplitMethod(StrEnum):
    time = "time"
    stratified = "stratified"


def movies(
    split: Annotated[
        SplitMethod,
        typer.Option(help="Hold out the latest interactions, or a share of each user's."),
    ] = SplitMethod.time,
    ratio: Annotated[
        float, typer.Option(min=0.01, max=0.99, help="Share of the interactions to fit on.")
    ] = 0.75,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the split, the fit and the intervals.")
    ] = 0,
    k: Annotated[int, typer.Option(min=1, max=20, help="Number of recommendations to judge.")] = 10,
    json_: Annotated[
        Path | None, typer.Option("--json", help="Also write the figures to this file.")
    ] = None,
) -> None:
    """Print nDCG, MAP, precision and recall of every algorithm, and log a run in MLflow.

    The 95 % intervals are over users.

    Example: nightshift backtest movies --split time --ratio 0.75 --seed 0 --k 10
    """
    from jobs.cli.show import Screen
    from jobs.core import params, settings
    from jobs.usecases.movies import backtest
    from jobs.usecases.movies.cli.rows import read
    from jobs.usecases.movies.params import MoviesTrainParams

    config, screen = settings.load(), Screen()
    plan = backtest.SplitPlan(split.value, ratio, seed, k)
    section = params.section(config.params_file, "movies", "train", MoviesTrainParams)
    with screen.status("reading the source"):
        history = read(config)
    if history.left_out:
        screen.say(f"left out: {history.left_out}")
    with screen.status("fitting"):
        result = backtest.run(history.interactions, plan, section, history.movies)
    screen.table(*_table(result.algorithms, k))
    screen.say("\n".join(_gains(result.algorithms)))
    screen.say(f"{result.users:,} users, {result.cold_users:,} without history")
    if json_:
        json_.write_text(json.dumps(result.as_json(), indent=1) + "\n")
    _log(
        config,
        result,
        {**section.model_dump(mode="json"), **asdict(plan), "validation": plan.split},
    )


def _table(results: list[AlgorithmResult], k: int) -> tuple[list[str], list[list[str]]]:
    """Return columns and rows: the measures of each algorithm ± half of their interval."""
    from jobs.usecases.movies.evaluation import MEASURES

    names = [f"{measure}_at_{k}" for measure in MEASURES]
    rows = [
        [
            result.algorithm,
            *(_cell(result.means[name], *result.intervals[name]) for name in names),
        ]
        for result in results
    ]
    return ["", *(f"{measure}@{k}" for measure in MEASURES)], rows


def _cell(mean: float, low: float, high: float) -> str:
    return f"{mean:.4f} ±{(high - low) / 2:.4f}"


def _gains(results: list[AlgorithmResult]) -> list[str]:
    return [
        f"nDCG of {result.algorithm} minus {result.compared_with}: {low:+.4f} to {high:+.4f}"
        for result in results
        if result.gain
        for low, high in [result.gain]
    ]


def _log(config: Settings, result: BacktestResult, params: dict[str, object]) -> None:
    from jobs.stores import registry

    metrics = {
        f"{algorithm.algorithm}.{name}": mean
        for algorithm in result.algorithms
        for name, mean in algorithm.means.items()
    }
    registry.log_run(
        config, EXPERIMENT, params | result.decisions, metrics, {"backtest.json": result.as_json()}
    )
