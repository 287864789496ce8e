"""`nightshift forget`: undo days that were run by mistake."""

from __future__ import annotations

from datetime import date as Day
from typing import Annotated

import typer

from jobs.core.pipelines import PIPELINE_HELP


def forget(
    pipeline: Annotated[str, typer.Argument(help=PIPELINE_HELP)],
    days: Annotated[
        str,
        typer.Argument(metavar="DATE|FIRST..LAST", help="The UTC day, or the first and last day."),
    ],
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run/--no-dry-run", help="List what would be removed; remove nothing."),
    ] = True,
) -> None:
    """Undo days that were run by mistake.

    Remove their manifests, files, quarantine and ClickHouse partitions. Refused, with the reasons,
    if a day was published or has a decision, or if a day that stays was computed from it. A killed
    removal resumes when the command runs again.

    Example: nightshift forget fraud 2026-11-27 --no-dry-run
    """
    from jobs.cli import show
    from jobs.core import settings
    from jobs.steps import forget

    config, wanted = settings.load(), _days(days)
    plans = {day: forget.plan(config, pipeline, day, wanted) for day in wanted}
    if not dry_run:
        plans = {day: forget.forget(config, pipeline, day) for day in wanted}
    lines = [line for plan in plans.values() for line in plan.lines()]
    if not lines:
        show.echo(f"{pipeline} has nothing to remove for {days}")
        return
    show.echo("dry run, nothing was removed; would remove:" if dry_run else "removed:")
    for line in lines:
        show.echo(f"  {line}")


def _days(text: str) -> list[Day]:
    """Return the days, newest first, so that a day is removed before those it was computed from."""
    from jobs.core.identity import days

    first, _, last = text.partition("..")
    try:
        return [*days(Day.fromisoformat(first), Day.fromisoformat(last or first))][::-1]
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is neither a day nor FIRST..LAST, such as 2026-11-26..2026-11-27"
        ) from None
