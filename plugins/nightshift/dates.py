"""Which day a run is for: resolved here, once, for every task, and shown as the partition key of every run."""

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

_HOW = "Trigger again with the form's `date`, or with the partition key, as YYYY-MM-DD."


class NoDay(AirflowFailException):
    """The run names no day that is over; no retry follows."""

    section = "a-run-names-no-day-or-a-day-that-is-not-over"  # of the runbook


def day_of(context: Context) -> date:
    """The UTC day D of this run: its partition key, else the `date` of the trigger form.

    Raises NoDay, which no retry follows, when there is neither, both disagree, it is no date,
    or the day is not over yet.
    """
    key, asked = context["dag_run"].partition_key, context["params"].get("date")
    if key and asked and key != asked:
        raise _no_day(f"The partition key says {key}, the form says {asked}")
    if not (text := key or asked):
        raise _no_day("This run names no day")
    if (day := _parsed(text)) is None:
        raise _no_day(f"{text!r} is no day")
    try:
        return whole(day)
    except ConfigError as error:
        raise _no_day(error.what) from None


def _no_day(why: str) -> NoDay:
    """The error; Airflow folds an exception away in the log, so that it is a line of its own there, too."""
    text = printable(f"{why}. {_HOW}")
    log.error("%s", text)
    return NoDay(text)


class DayIsKey:
    """A run by the form's `date` gets that day as its partition key when it starts, as a run of the schedule has it."""

    @hookimpl
    def on_dag_run_running(self, dag_run: DagRun, msg: str) -> None:
        """In the scheduler, whose session stores it. A key that the run has stays: `day_of` compares the two."""
        del msg
        day, timetable = (dag_run.conf or {}).get("date"), dag_run.get_dag().timetable
        if day and timetable.partitioned and not dag_run.partition_key:
            dag_run.partition_key, dag_run.partition_date = (
                day,
                timetable.resolve_partition_date(day),
            )


def _parsed(text: str) -> date | None:
    """The day that is written like this; another way to write it would be another partition key for the same day."""
    with suppress(ValueError):
        if str(day := date.fromisoformat(text)) == text:
            return day
    return None
