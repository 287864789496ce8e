"""The console script `nightshift`. Heavy imports happen inside the commands, so that --help is quick."""

from __future__ import annotations

import sys

import typer

from jobs.cli import steps

STEP_NAMES = (
    "extract", "validate", "build_features", "snapshot", "check_drift", "retrain", "train",
    "gate", "promote", "predict", "publish", "verify", "freshness", "reconcile", "housekeeping",
)  # fmt: skip

app = typer.Typer(
    name="nightshift",
    help="A night of features, training, gates and published tables. Start with: nightshift up",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command line; an error that people are meant to read is printed as it is, without a traceback."""
    from jobs.core.errors import NightshiftError

    try:
        _mount()
        app()
    except NightshiftError as error:
        from jobs.cli.show import Screen

        Screen(stderr=True).say(f"error: {error}", "red")
        sys.exit(error.exit_code)


def _mount() -> None:
    from jobs.cli import (
        backtest,
        demo,
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
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
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
    app.add_typer(backtest.app, name="backtest")
    app.command("restore")(manage.restore)
    app.command("params")(manage.params)
    steps.add_to(app, STEP_NAMES)
