"""`nightshift schedule`: whether the nights of this home start by themselves."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class To(StrEnum):
    """What the schedule can be switched to."""

    ON = "on"
    OFF = "off"


def switch(
    to: Annotated[
        To | None, typer.Argument(help="Switch it; without a word, only say what it is.")
    ] = None,
) -> None:
    """Say whether the nights start by themselves, or switch it: Airflow follows within five minutes.

    The schedule of a new home, and of one that `nightshift demo` filled, is off: at 02:00 there would be no rows of
    yesterday. It is on wherever NIGHTSHIFT_SOURCE_DSN names an operational database. Runs by hand and backfills
    work either way.

    Example: nightshift schedule on
    """
    from jobs.core import schedule, settings

    chosen = settings.load()
    if to is To.ON:
        schedule.switch_on(chosen)
    elif to is To.OFF:
        schedule.switch_off(chosen, "somebody switched it off")
    typer.echo(f"schedule  {schedule.described(chosen)}")
