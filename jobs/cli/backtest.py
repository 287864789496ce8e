"""`nightshift backtest`: judge a use case's model on past days of the source."""

from __future__ import annotations

import typer

from jobs.cli.discovery import all_commands

app = typer.Typer(
    no_args_is_help=True,
    help="Judge a pipeline's model on past days; served tables and models do not change.",
)


@app.callback()
def _group() -> None:
    """Judge a pipeline's model on past days; served tables and models do not change."""


for _pipeline, _commands in all_commands().items():
    app.command(_pipeline)(_commands.backtest)
