"""`nightshift source`: fill the operational tables."""

from __future__ import annotations

import typer

from jobs.cli.discovery import all_commands

app = typer.Typer(help="Simulate operational data, or load it from files.", no_args_is_help=True)
load_app = typer.Typer(
    help="Load CSV or parquet files into an operational table: all valid rows, or nothing.",
    no_args_is_help=True,
)
app.add_typer(load_app, name="load")
for _commands in all_commands().values():
    for _name, _command in _commands.source.items():
        app.command(_name)(_command)
    for _name, _command in _commands.load.items():
        load_app.command(_name)(_command)
