"""The schedule of a home: nights start at 02:00 UTC unless it is off."""

from __future__ import annotations

import os

from jobs.core.settings import SOURCE, Settings

DEMO = "this home holds the demo's data, which has no rows of yesterday"
NEW = "this home is new, and no operational database is connected"


def off(settings: Settings) -> str:
    """Return why the schedule is off, "" when it is on.

    With an operational database it is always on.
    """
    file = settings.schedule_file
    return "" if os.environ.get(SOURCE) or not file.exists() else file.read_text().strip()


def described(settings: Settings) -> str:
    """Return the schedule in one line; if it is off, why, and the command to switch it on."""
    if why := off(settings):
        return f"off: {why}. Next: run `nightshift schedule on` once every day brings rows"
    return "on: the nights start at 02:00 UTC"


def begin_off(settings: Settings, why: str) -> None:
    """Switch the schedule off, unless somebody has switched it on before."""
    file = settings.schedule_file
    if not file.exists() or file.read_text():
        switch_off(settings, why)


def switch_off(settings: Settings, why: str) -> None:
    """Switch the schedule off. Airflow reads this when it starts, or within five minutes."""
    settings.home.mkdir(parents=True, exist_ok=True)
    settings.schedule_file.write_text(why + "\n")


def switch_on(settings: Settings) -> None:
    """Switch the schedule on, and record that somebody did."""
    settings.home.mkdir(parents=True, exist_ok=True)
    settings.schedule_file.write_text("")
