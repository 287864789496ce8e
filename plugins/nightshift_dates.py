"""Which day a run is for: resolved here, once, for every task."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowFailException

if TYPE_CHECKING:
    from airflow.sdk import Context

_HOW = "Trigger again with the form's `date`, or with the partition key, as YYYY-MM-DD."


def day_of(context: Context) -> date:
    """The UTC day D of this run: its partition key, else the `date` of the trigger form.

    Raises AirflowFailException, which no retry follows, when there is neither, both disagree, it is no date,
    or the day is not over yet.
    """
    key, asked = context["dag_run"].partition_key, context["params"].get("date")
    if key and asked and key != asked:
        raise AirflowFailException(f"The partition key says {key}, the form says {asked}. {_HOW}")
    if not (text := key or asked):
        raise AirflowFailException(f"This run names no day. {_HOW}")
    if (day := _parsed(text)) is None:
        raise AirflowFailException(f"{text!r} is no day. {_HOW}")
    if day >= datetime.now(UTC).date():
        raise AirflowFailException(f"{day} is not over yet. {_HOW}")
    return day


def _parsed(text: str) -> date | None:
    """The day that is written like this; another way to write it would be another partition key for the same day."""
    with suppress(ValueError):
        if str(day := date.fromisoformat(text)) == text:
            return day
    return None
