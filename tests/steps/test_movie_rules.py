"""Which interactions and movies are good, and the one reason of each that is not."""

from __future__ import annotations

import pytest
from test_validate_rules import INTERACTIONS, MOVIES, reasons

GARBLED = "text in an unknown encoding"
OUTSIDE = "rating outside 0.5 to 5"
VIEW = {"interaction_type": "view", "value": None}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"value": "0.5"}, None),
        ({"value": "5"}, None),
        ({"value": "5e0"}, None),
        ({"value": "0.4999"}, OUTSIDE),
        ({"value": "5.0001"}, OUTSIDE),
        ({"value": "-3"}, OUTSIDE),
        ({"value": "1e300"}, OUTSIDE),
        ({"value": None}, "rating without a value"),
        ({"value": ""}, "value is not a number: "),
        ({"value": "NaN"}, "value is not a number: NaN"),
        ({"value": "Infinity"}, "value is not a number: Infinity"),
        ({"value": "five"}, "value is not a number: five"),
        ({"interaction_type": "like", "value": None}, None),
        (
            {"interaction_type": "like", "value": "11"},
            None,
        ),  # only the value of a rating is on the scale
        (VIEW, None),
        (VIEW | {"watch_time_s": "0"}, None),
        (VIEW | {"watch_time_s": "86400"}, None),
        (VIEW | {"watch_time_s": "-1"}, "negative watch time"),
        (VIEW | {"watch_time_s": "90.5"}, "watch_time_s is not a number: 90.5"),
        (VIEW | {"watch_time_s": "long"}, "watch_time_s is not a number: long"),
        ({"watch_time_s": "-1"}, "negative watch time"),
        ({"interaction_type": "click"}, "interaction_type is none of rating, view, like"),
        ({"interaction_type": "Rating"}, "interaction_type is none of rating, view, like"),
        ({"interaction_type": ""}, "missing interaction_type"),
        ({"interaction_type": None}, "missing interaction_type"),
        ({"user_id": None, "movie_id": ""}, "missing user_id, movie_id"),
        ({"event_time": None}, "missing event_time"),
        ({"event_time": "once"}, "event_time is not a time: once"),
        ({"event_time": "2018-07-10 00:00:00Z"}, None),
        ({"event_time": "2018-07-10 23:59:59.999999Z"}, None),
        ({"event_time": "2018-07-11 00:00:00Z"}, "timestamp is not on 2018-07-10"),
        ({"event_time": "1970-01-01 00:00:00Z"}, "timestamp is not on 2018-07-10"),
        ({"user_id": "Zoë 🎬"}, None),
        ({"user_id": "Zo\ufffd"}, GARBLED),
        ({"movie_id": "m\x00"}, GARBLED),
        # Unreadable values come before missing ones, and those before the rules in their order.
        ({"value": "x", "user_id": None}, "value is not a number: x"),
        ({"value": "9", "user_id": None}, "missing user_id"),
        ({"value": "9", "event_time": "2018-07-11"}, "timestamp is not on 2018-07-10"),
        ({"value": "9", "watch_time_s": "-1"}, OUTSIDE),
    ],
)
def test_rules_of_interactions(change, reason):
    assert reasons(INTERACTIONS, {"id": "other"}, change) == [None, reason]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"year": None}, None),
        ({"genres": None}, None),
        ({"genres": ""}, None),
        ({"year": None, "genres": None}, None),
        ({"year": "1870"}, None),
        ({"year": "1869"}, "year out of range"),
        ({"year": "2100"}, None),  # announced
        ({"year": "2101"}, "year out of range"),
        ({"year": "0"}, "year out of range"),
        ({"year": "-1979"}, "year out of range"),
        ({"year": "MCMLXXIX"}, "year is not a number: MCMLXXIX"),
        ({"title": None}, "missing title"),
        ({"title": ""}, "missing title"),
        ({"movie_id": ""}, "missing movie_id"),
        ({"title": "千と千尋の神隠し"}, None),
        ({"title": "Amélie :: Le fabuleux destin"}, None),
        ({"title": "\u202eנאד, \"quoted\", 'and', commas; 👩‍👩‍👧 e\u0301"}, None),
        ({"title": "Am\ufffdlie"}, GARBLED),
        ({"title": "two\nlines"}, GARBLED),
        ({"genres": "Horror|\x07"}, GARBLED),
        ({"year": "12", "title": "Am\ufffdlie"}, "year out of range"),
    ],
)
def test_rules_of_movies(change, reason):
    assert reasons(MOVIES, {"movie_id": "other"}, change) == [None, reason]


def test_a_day_of_rows_that_lack_the_same_column():
    """All of it null, a column has no kind of its own."""
    assert reasons(MOVIES, {"year": None, "genres": None}) == [None]
    assert reasons(INTERACTIONS, VIEW, VIEW | {"id": "j"}) == [None, None]
