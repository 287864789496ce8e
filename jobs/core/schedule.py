"""Whether the nights of a home start by themselves: they do, unless its schedule is off."""

from __future__ import annotations

import os

from jobs.core.settings import SOURCE, Settings

DEMO = "this home holds the data of the demo, none of it of yesterday"
NEW = "this home is new, and no operational database is connected"


def off(settings: Settings) -> str:
    """Why the schedule is off; "" where it is on, as it always is with an operational database of one's own."""
    file = settings.schedule_file
    return "" if os.environ.get(SOURCE) or not file.exists() else file.read_text().strip()


def described(settings: Settings) -> str:
    """The schedule in one line, for a person; where it is off, why, and what switches it on."""
    if why := off(settings):
        return f"off: {why}. Next: once every day brings rows, `nightshift schedule on`"
    return "on: the nights start at 02:00 UTC"


def begin_off(settings: Settings, why: str) -> None:
    """Have no night start by itself, unless somebody switched the schedule on before."""
    file = settings.schedule_file
    if not file.exists() or file.read_text():
        switch_off(settings, why)


def switch_off(settings: Settings, why: str) -> None:
    """Have no night start by itself. Airflow reads it when it starts, or within five minutes."""
    settings.home.mkdir(parents=True, exist_ok=True)
    settings.schedule_file.write_text(why + "\n")


def switch_on(settings: Settings) -> None:
    """Have the nights start by themselves, and remember that somebody wanted it."""
    settings.home.mkdir(parents=True, exist_ok=True)
    settings.schedule_file.write_text("")
