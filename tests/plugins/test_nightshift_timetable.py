"""When the first run of a new platform is due."""

from __future__ import annotations

import importlib

import pendulum
import pytest


@pytest.mark.parametrize("hour", range(24))
def test_the_first_night_of_a_new_platform_is_the_next_one(airflow_variables, monkeypatch, hour):
    from airflow.serialization.decoders import decode_timetable
    from airflow.serialization.encoders import encode_timetable
    from airflow.timetables import trigger
    from airflow.timetables.base import TimeRestriction

    now = pendulum.datetime(2018, 7, 10, hour, 30)
    monkeypatch.setattr(trigger, "utcnow", lambda: now)
    nights = importlib.import_module("nightshift.nights")
    timetable = decode_timetable(encode_timetable(nights.timetable("0 2 * * *")))
    first = timetable.next_dagrun_info_v2(
        last_dagrun_info=None, restriction=TimeRestriction(None, None, catchup=False)
    )
    assert first.run_after == now.set(minute=0).add(hours=(2 - hour) % 24 or 24)
