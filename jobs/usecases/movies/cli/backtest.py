"""`nightshift backtest movies`: compare the algorithms on all rows of the source."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from jobs.core.settings import Settings

EXPERIMENT = "movies-backtest"


class Split(StrEnum):
    time = "time"
    stratified = "stratified"


def movies(
    split: Annotated[
        Split, typer.Option(help="Hold out the latest interactions, or a share of each user's.")
    ] = Split.time,
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
    from jobs.usecases.movies.params import TrainParams

    config, screen = settings.load(), Screen()
    plan = backtest.Plan(split.value, ratio, seed, k)
    section = params.section(config.params_file, "movies", "train", TrainParams)
    with screen.status("reading the source"):
        history = read(config)
    if history.left_out:
        screen.say(f"left out: {history.left_out}")
    with screen.status("fitting"):
        summary = backtest.run(history.interactions, plan, section, history.movies)
    screen.table(*_table(summary["rows"], k))
    screen.say("\n".join(_differences(summary["rows"])))
    screen.say(f"{summary['users']:,} users, {summary['cold_users']:,} without history")
    if json_:
        json_.write_text(json.dumps(summary, indent=1) + "\n")
    _log(
        config,
        summary,
        {**section.model_dump(mode="json"), **asdict(plan), "validation": plan.split},
    )


def _table(rows: list[dict[str, Any]], k: int) -> tuple[list[str], list[list[str]]]:
    """Return columns and rows: the measures of each algorithm ± half of their interval."""
    from jobs.usecases.movies.evaluation import MEASURES

    cells = [
        [
            row["algorithm"],
            *(
                _cell(row[name], *row[f"{name}_interval"])
                for name in (f"{m}_at_{k}" for m in MEASURES)
            ),
        ]
        for row in rows
    ]
    return ["", *(f"{measure}@{k}" for measure in MEASURES)], cells


def _cell(mean: float, low: float, high: float) -> str:
    return f"{mean:.4f} ±{(high - low) / 2:.4f}"


def _differences(rows: list[dict[str, Any]]) -> list[str]:
    return [
        f"nDCG of {row['algorithm']} minus {row['compared_with']}: {low:+.4f} to {high:+.4f}"
        for row in rows
        if "compared_with" in row
        for low, high in [row["difference_interval"]]
    ]


def _log(config: Settings, summary: dict[str, Any], params: dict[str, Any]) -> None:
    from jobs.stores import registry

    metrics = {
        f"{row['algorithm']}.{name}": value
        for row in summary["rows"]
        for name, value in row.items()
        if isinstance(value, float)
    }
    registry.log_run(
        config, EXPERIMENT, params | summary["chosen"], metrics, {"backtest.json": summary}
    )
