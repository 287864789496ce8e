"""Whether the nights of a home start by themselves: they do, unless its schedule was switched off."""

from __future__ import annotations

import os

from jobs.core.settings import SOURCE, Settings

DEMO = "this home holds the data of `nightshift demo`, which has no rows of yesterday"
EMPTY = "no operational database is connected"
ON = "`nightshift schedule on`, or set NIGHTSHIFT_SOURCE_DSN and restart Airflow"


def off(settings: Settings) -> str:
    """Why the schedule is off; "" where it is on, as it always is with an operational database of one's own."""
    file = settings.schedule_file
    return "" if os.environ.get(SOURCE) or not file.exists() else file.read_text().strip()


def switch_off(settings: Settings, why: str) -> None:
    """Have no night start by itself; Airflow reads it within five minutes, or when it starts."""
    settings.home.mkdir(parents=True, exist_ok=True)
    settings.schedule_file.write_text(why + "\n")


def switch_on(settings: Settings) -> None:
    """Have the nights start by themselves again."""
    settings.schedule_file.unlink(missing_ok=True)
