"""The console script `nightshift`.

Heavy imports are inside the commands, so that --help is fast.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime

import typer

from jobs.cli import steps
from jobs.core.steps import STEPS

app = typer.Typer(
    name="nightshift",
    help="Run nights of features, training, gates and published tables. Start with: nightshift up",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command line; print any error as one of ours, without secrets or traceback."""
    from jobs.core import failures, masking
    from jobs.core.environment import settle

    settle()  # before anything is imported that reads it
    sys.stderr = masking.masked(sys.stderr)
    try:
        _mount()
        app()
    except Exception as error:
        from jobs.cli.show import Screen

        ours = failures.explain(error)
        if ours is not error:
            ours.trace = _trace(error)
        Screen(stderr=True).say(f"error: {ours.explained()}", "red")
        sys.exit(ours.exit_code)


def _trace(error: Exception) -> str:
    """Write the traceback of an error outside any step; return the path of the file."""
    from jobs.core import settings, traces

    command = "-".join([word for word in sys.argv[1:3] if word.isidentifier()] or ["nightshift"])
    name = f"{command}-{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}"
    return traces.write(error, settings.load().home / "logs" / "errors", name)


def _mount() -> None:
    from jobs.cli import (
        backtest,
        demo,
        forget,
        look,
        manage,
        migrate,
        night,
        schedule,
        served,
        services,
        source,
        status,
    )

    app.command("up")(services.up)
    app.command("down")(services.down)
    app.command("migrate")(migrate.migrate)
    app.command(
        "airflow",
        context_settings={
            "allow_extra_args": True,
            "ignore_unknown_options": True,
            "help_option_names": [],
        },
    )(services.call_airflow)
    app.command("schedule")(schedule.switch)
    app.command("demo")(demo.demo)
    app.add_typer(source.app, name="source")
    app.command("run")(night.run)
    app.command("status")(status.status)
    app.command("served")(served.served)
    app.command("lookup")(look.lookup)
    app.command("manifest")(look.manifest)
    app.command("sql")(look.sql)
    app.command("dsn")(look.dsn)
    app.command("rollback")(manage.rollback)
    app.command("forget")(forget.forget)
    app.add_typer(backtest.app, name="backtest")
    app.command("restore")(manage.restore)
    app.command("params")(manage.params)
    own = {command.name for command in app.registered_commands}  # rollback has one of its own
    steps.add_to(app, [step for step in STEPS if step not in own])
