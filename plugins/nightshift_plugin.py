"""The plugin that Airflow loads: listeners, the deadline reference, and a timetable."""

from __future__ import annotations

import os
from functools import cache

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

import nightshift.docs
from jobs.core.process import die_with_parent
from nightshift.dates import DayIsKey
from nightshift.deadlines import ClearableRuns, RunCreated
from nightshift.timetable import ByHand


class DieTogether:
    """From a component's start on, every process that it forks dies with it, at any depth.

    Otherwise a killed scheduler would leave workers and tasks running next to those of a new one.
    """

    @hookimpl
    def on_starting(self, component: object) -> None:
        del component
        _register()


@cache
def _register() -> None:
    """Once per process: a task runs in a fork of a fork, and each fork calls the hook again."""
    os.register_at_fork(after_in_child=lambda: die_with_parent(None))


class NightshiftPlugin(AirflowPlugin):
    """What Airflow registers."""

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
