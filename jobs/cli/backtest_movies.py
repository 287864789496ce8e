"""`nightshift backtest movies`: the algorithms beside each other, on all that the source holds."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from jobs.core.settings import Settings

EXPERIMENT = "movies-backtest"


class Split(StrEnum):
    time = "time"
    stratified = "stratified"


def movies(
    split: Annotated[
        Split, typer.Option(help="Hold out the latest interactions, or a share of each user's.")
    ] = Split.time,
    ratio: Annotated[float, typer.Option(min=0.01, max=0.99, help="The share that is fitted on.")] = 0.75,
    seed: Annotated[int, typer.Option(min=0, help="Of the split, the fit and the intervals.")] = 0,
    k: Annotated[int, typer.Option(min=1, max=20, help="How many recommendations are judged.")] = 10,
    json_: Annotated[Path | None, typer.Option("--json", help="Also write the figures to this file.")] = None,
) -> None:
    """nDCG, MAP, precision and recall of every algorithm, with 95 % intervals over users; leaves an MLflow run.

    Example: nightshift backtest movies --split time --ratio 0.75 --seed 0 --k 10
    """
    from rich.console import Console

    from jobs.cli.movie_rows import read
    from jobs.core import params, settings
    from jobs.movies import backtest
    from jobs.movies.params import TrainParams

    chosen, console = settings.load(), Console()
    plan = backtest.Plan(split.value, ratio, seed, k)
    section = params.section(chosen.params_file, "movies", "train", TrainParams)
    with console.status("reading the source"):
        found = read(chosen)
    if found.left_out:
        console.print(f"left out: {found.left_out}", highlight=False)
    with console.status("fitting"):
        summary = backtest.run(found.interactions, plan, section, found.movies)
    console.print(_table(summary["rows"], k), *_differences(summary["rows"]), sep="\n", highlight=False)
    console.print(f"{summary['users']:,} users, {summary['cold_users']:,} without history", highlight=False)
    if json_:
        json_.write_text(json.dumps(summary, indent=1) + "\n")
    _log(chosen, summary, {**section.model_dump(mode="json"), **asdict(plan), "validation": plan.split})


def _table(rows: list[dict[str, Any]], k: int) -> Table:
    from rich.table import Table

    from jobs.movies.evaluation import MEASURES

    table = Table(box=None)
    for name in ("", *(f"{measure}@{k}" for measure in MEASURES)):
        table.add_column(name, no_wrap=True)
    for row in rows:
        names = (f"{each}_at_{k}" for each in MEASURES)
        table.add_row(row["algorithm"], *(_cell(row[name], *row[f"{name}_interval"]) for name in names))
    return table


def _cell(mean: float, low: float, high: float) -> str:
    return f"{mean:.4f} ±{(high - low) / 2:.4f}"


def _differences(rows: list[dict[str, Any]]) -> list[str]:
    return [
        f"nDCG of {row['algorithm']} less {row['compared_with']}: {low:+.4f} to {high:+.4f}"
        for row in rows
        if "compared_with" in row
        for low, high in [row["difference_interval"]]
    ]


def _log(chosen: Settings, summary: dict[str, Any], params: dict[str, Any]) -> None:
    from jobs.stores import registry

    metrics = {
        f"{row['algorithm']}.{name}": value
        for row in summary["rows"]
        for name, value in row.items()
        if isinstance(value, float)
    }
    registry.log_run(chosen, EXPERIMENT, params | summary["chosen"], metrics, {"backtest.json": summary})
