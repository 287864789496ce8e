"""What Airflow loads of this folder: listeners, the reference of the deadline, the timetable of a schedule that is off."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

import nightshift.docs
from jobs.core.process import die_with_parent
from nightshift.dates import DayIsKey
from nightshift.deadlines import ClearableRuns, RunCreated
from nightshift.timetable import ByHand


class DieTogether:
    """From its start on, what a component forks dies with it, and what that forks with that.

    A killed scheduler would otherwise leave workers and tasks running beside those that a new one starts.
    """

    @hookimpl
    def on_starting(self, component: Any) -> None:
        del component
        _register()


@cache
def _register() -> None:
    """Once a process: a task runs in a fork of a fork, each of which calls the hook again."""
    os.register_at_fork(after_in_child=lambda: die_with_parent(None))


class NightshiftPlugin(AirflowPlugin):
    """The plugin's entry."""

    name = "nightshift"
    listeners = [ClearableRuns(), DayIsKey(), DieTogether()]  # noqa: RUF012
    deadline_references = [RunCreated]  # noqa: RUF012
    timetables = [ByHand]  # noqa: RUF012
    fastapi_apps = [  # noqa: RUF012
        {
            "app": nightshift.docs.app,
            "url_prefix": nightshift.docs.PREFIX,
            "name": "Nightshift's documentation",
        }
    ]
