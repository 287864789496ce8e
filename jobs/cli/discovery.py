"""The commands and the operational tables of the use cases, by the names of their pipelines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.cli.commands import Commands
from jobs.core.pipelines import PIPELINES
from jobs.usecases.declared import declared

if TYPE_CHECKING:
    from jobs.source.schema import OperationalTable


def find_commands(pipeline: str) -> Commands:
    """Return the commands of the use case; ConfigError lists the pipelines if there is none."""
    return declared(pipeline, "cli.commands.COMMANDS", Commands)


def all_commands() -> dict[str, Commands]:
    """Return the commands of every use case, by the name of its pipeline."""
    return {pipeline: find_commands(pipeline) for pipeline in PIPELINES}


def find_tables(pipeline: str) -> tuple[OperationalTable, ...]:
    """Return the operational tables of the use case."""
    return declared(pipeline, "operational.tables.TABLES", tuple)
