"""A date is a UTC day, wherever the machine stands."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.core.errors import ConfigError
from jobs.core.identity import Run, before, days, whole

DAY = date(2018, 7, 10)
some_days = st.dates(date(1900, 1, 1), date(2100, 1, 1))


@pytest.mark.parametrize("zone", ["UTC", "America/Los_Angeles", "Pacific/Kiritimati"])
def test_the_window_is_the_utc_day(monkeypatch, zone):
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        start, end = Run("fraud", "extract", DAY).window
    finally:
        monkeypatch.undo()
        time.tzset()
    assert (start, end) == (datetime(2018, 7, 10, tzinfo=UTC), datetime(2018, 7, 11, tzinfo=UTC))
    assert start.utcoffset() == end.utcoffset() == timedelta(0)


@given(some_days)
def test_windows_meet_and_last_24_hours(day):
    start, end = Run("p", "s", day).window
    assert end - start == timedelta(hours=24)
    assert Run("p", "s", day + timedelta(days=1)).window[0] == end


def test_attempts_differ_and_identities_do_not():
    one, two = Run("fraud", "extract", DAY), Run("fraud", "extract", DAY)
    assert one.attempt != two.attempt
    assert str(one) == str(two) == "fraud/extract 2018-07-10"


@given(some_days, st.integers(0, 400))
def test_days_are_every_day_once_in_order(first, count):
    last = first + timedelta(days=count)
    listed = list(days(first, last))
    assert (listed[0], listed[-1], len(listed)) == (first, last, count + 1)
    assert all(b - a == timedelta(days=1) for a, b in pairwise(listed))


def test_no_days_when_the_last_is_before_the_first():
    assert list(days(DAY, DAY - timedelta(days=1))) == []


def test_before_is_the_whole_days_up_to_and_without_the_day():
    assert before(DAY, 3) == [date(2018, 7, 7), date(2018, 7, 8), date(2018, 7, 9)]
    assert before(DAY, 0) == []
    assert before(date(2020, 3, 1), 1) == [date(2020, 2, 29)]


@pytest.mark.parametrize("ahead", [0, 1, 400])
def test_a_day_that_is_not_over_is_refused(ahead):
    day = datetime.now(UTC).date() + timedelta(days=ahead)
    with pytest.raises(ConfigError, match=f"{day} is not over yet"):
        whole(day)


@pytest.mark.parametrize("day", [datetime.now(UTC).date() - timedelta(days=1), DAY, date.min])
def test_a_day_that_is_over_is_whole(day):
    assert whole(day) == day


def test_the_last_day_there_is_has_not_come():
    with pytest.raises(ConfigError, match="not over"):
        whole(date.max)
