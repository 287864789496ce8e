"""What a use case adds to the command line: `COMMANDS` in its `cli/commands.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

Command = Callable[..., None]  # of Typer, which reads its options from the signature


@dataclass(frozen=True)
class RealData:
    """Real data of the demo: `files` of `origin`, in the subfolder `folder` of `--data`."""

    folder: str
    files: str  # pattern of their names
    origin: str
    load: Callable[[Path], None]  # from the subfolder into the operational tables

    def __str__(self) -> str:
        return f"`{self.folder}/{self.files}` of {self.origin}"


@dataclass(frozen=True)
class Commands:
    """The commands of a use case, by name where there are several.

    backtest   `nightshift backtest <pipeline>`
    source     `nightshift source <name>`: simulates its operational tables
    load       `nightshift source load <name>`: loads files into one of its operational tables
    simulate   simulates the demo's data, for `days` days from `first` on
    real_data  what the demo loads instead
    """

    backtest: Command
    source: Mapping[str, Command]
    load: Mapping[str, Command]
    simulate: Callable[[int, datetime], None]
    real_data: RealData
