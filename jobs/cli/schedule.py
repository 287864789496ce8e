"""`nightshift schedule`: show or switch the schedule of this home's nights."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class To(StrEnum):
    """The states of the schedule."""

    ON = "on"
    OFF = "off"


def switch(
    to: Annotated[
        To | None, typer.Argument(help="New state. Without it, only show the schedule.")
    ] = None,
) -> None:
    """Show whether nights start on schedule, or switch it; Airflow follows within five minutes.

    The schedule is off in a new home and in one that `nightshift demo` filled, since there are no
    rows of yesterday at 02:00. It is on whenever NIGHTSHIFT_SOURCE_DSN names an operational
    database. Manual runs and backfills work either way.

    Example: nightshift schedule on
    """
    from jobs.core import schedule, settings

    config = settings.load()
    if to is To.ON:
        schedule.switch_on(config)
    elif to is To.OFF:
        schedule.switch_off(config, "somebody switched it off")
    typer.echo(f"schedule  {schedule.described(config)}")
