"""Which day a run is for."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import pytest


def run_of(key=None, asked=None):
    """As much of a task's context as names the day."""
    return {
        "dag_run": SimpleNamespace(partition_key=key),
        "params": {"date": asked, "steps": "night"},
    }


def refusal(dates, context):
    with pytest.raises(dates.AirflowFailException) as refused:
        dates.day_of(context)
    assert "YYYY-MM-DD" in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize(
    ("key", "asked"), [("2018-07-10", None), (None, "2018-07-10"), ("2018-07-10", "2018-07-10")]
)
def test_the_key_or_the_form_names_the_day(dates, key, asked):
    assert dates.day_of(run_of(key, asked)) == date(2018, 7, 10)


def test_a_form_without_a_date_field_is_no_obstacle(dates):
    assert dates.day_of(run_of("2018-07-10") | {"params": {}}) == date(2018, 7, 10)


def test_two_different_days_are_refused_and_both_named(dates):
    said = refusal(dates, run_of("2018-07-10", "2018-07-11"))
    assert "2018-07-10" in said
    assert "2018-07-11" in said


def test_no_day_is_refused(dates):
    assert "names no day" in refusal(dates, run_of())


@pytest.mark.parametrize(
    "text",
    [
        "yesterday",
        "2018-02-30",
        "10.07.2018",
        "20180710",
        "2018-W28-2",
        "2018-7-10",
        "2018-07-10T00:00:00",
    ],
)
def test_garbage_is_refused_and_so_is_another_way_to_write_a_day(dates, text):
    assert f"{text!r} is not a day" in refusal(dates, run_of(text))
    assert f"{text!r} is not a day" in refusal(dates, run_of(None, text))


@pytest.mark.parametrize("ahead", [0, 1, 365])
def test_a_day_that_is_not_over_is_refused(dates, ahead):
    assert "not over yet" in refusal(
        dates, run_of(str(datetime.now(UTC).date() + timedelta(days=ahead)))
    )


def test_yesterday_is_a_day(dates):
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    assert dates.day_of(run_of(str(yesterday))) == yesterday
