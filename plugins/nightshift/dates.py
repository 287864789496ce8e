"""The day of a run: read here for every task, and shown as the run's partition key."""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import date
from typing import TYPE_CHECKING

from airflow.listeners import hookimpl
from airflow.sdk.exceptions import AirflowFailException

from jobs.core.errors import ConfigError
from jobs.core.identity import whole
from jobs.core.text import printable

if TYPE_CHECKING:
    from airflow.models import DagRun
    from airflow.sdk import Context

log = logging.getLogger(__name__)

_REMEDY = "Trigger again with `date` in the form, or with the partition key, as YYYY-MM-DD."


class NoDay(AirflowFailException):
    """The run names no day that has ended. There is no retry."""

    section = "a-run-names-no-day-or-a-day-that-is-not-over"  # of the runbook


def day_of(context: Context) -> date:
    """The UTC day D of this run: its partition key, or the `date` of the trigger form.

    Raises NoDay if both are missing, if they differ, if the text is not a date, or if the day is
    not over yet.
    """
    key, form = context["dag_run"].partition_key, context["params"].get("date")
    if key and form and key != form:
        raise _no_day(f"The partition key says {key}, the form says {form}")
    if not (text := key or form):
        raise _no_day("This run names no day")
    if (day := _parsed(text)) is None:
        raise _no_day(f"{text!r} is not a day")
    try:
        return whole(day)
    except ConfigError as error:
        raise _no_day(error.what) from None


def _no_day(why: str) -> NoDay:
    """The error, which is also logged, because Airflow folds exceptions away in the log."""
    text = printable(f"{why}. {_REMEDY}")
    log.error("%s", text)
    return NoDay(text)


class DayIsKey:
    """Makes the form's `date` the partition key of a run when the run starts, as for scheduled
    runs.
    """

    @hookimpl
    def on_dag_run_running(self, dag_run: DagRun, msg: str) -> None:
        """Runs in the scheduler; its session stores the key. An existing key stays; `day_of`
        compares it with the form.
        """
        del msg
        day, timetable = (dag_run.conf or {}).get("date"), dag_run.get_dag().timetable
        if day and timetable.partitioned and not dag_run.partition_key:
            dag_run.partition_key, dag_run.partition_date = (
                day,
                timetable.resolve_partition_date(day),
            )


def _parsed(text: str) -> date | None:
    """The day, if the text is YYYY-MM-DD; another format would be another key for the same day."""
    with suppress(ValueError):
        if str(day := date.fromisoformat(text)) == text:
            return day
    return None
