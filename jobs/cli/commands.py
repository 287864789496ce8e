"""The commands of a use case: `COMMANDS` of `jobs/usecases/<pipeline>/cli/commands.py`."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from jobs.core.pipelines import PIPELINES

PIPELINE_HELP = f"The use case: {' or '.join(PIPELINES)}."

Command = Callable[..., None]  # of Typer, which reads its options from the signature


@dataclass(frozen=True)
class Commands:
    """The commands of a use case, by name where there are several.

    backtest   `nightshift backtest <pipeline>`
    source     `nightshift source <name>`: simulates its operational tables
    load       `nightshift source load <name>`: loads files into one of its operational tables
    real_data  the files in the use case's folder of `--data`, and what they are
    simulate   simulates the demo's data: so many days from a first one on
    load_real  loads the demo's real data from the use case's folder of `--data`
    """

    backtest: Command
    source: Mapping[str, Command]
    load: Mapping[str, Command]
    real_data: str
    simulate: Callable[[int, datetime], None]
    load_real: Callable[[Path], None]


def find_commands(pipeline: str) -> Commands:
    """The commands of a use case that exists."""
    value = importlib.import_module(f"jobs.usecases.{pipeline}.cli.commands").COMMANDS
    if not isinstance(value, Commands):
        raise TypeError(f"COMMANDS of jobs/usecases/{pipeline}/cli/commands.py is no Commands")
    return value


def all_commands() -> dict[str, Commands]:
    """The commands of every use case, by the name of its pipeline."""
    return {pipeline: find_commands(pipeline) for pipeline in PIPELINES}
