"""An event that the source moved to another day, with one of the two days extracted again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from jobs.core.errors import DataError
from nights import BEFORE, DAY, FIRST, INGEST
from prepared_night import EACH

SOURCE = {
    "fraud": ("transactions", "transaction_id", "event_time"),
    "movies": ("user_interactions", "id", '"timestamp"'),
}
WEEK = DAY - timedelta(days=4)  # of the holdout, as the day after it


def move(place, start, to):
    """An event of `start` is moved to `to`, at the same time of day; returns its key."""
    table, key, moment = SOURCE[place.pipeline]
    (moved,) = place.upstream(
        f"UPDATE {table} SET {moment} = {moment} + interval '{(to - start).days} days' "
        f"WHERE {key} = (SELECT min({key})"
        f" FROM {table} WHERE {moment} >= '{start} 00:00Z' "
        f"AND {moment} < '{start + timedelta(days=1)} 00:00Z') RETURNING {key}"
    )
    return moved[0]


@EACH
@pytest.mark.parametrize(
    ("start", "to"),
    [(WEEK, WEEK + timedelta(days=1)), (WEEK + timedelta(days=1), WEEK)],
    ids=["to the day after", "to the day before"],
)
def test_one_day_extracted_again_is_an_error_that_names_both_and_the_remedy_mends(at, start, to):
    place = at("snapshot", own_source=True)
    table = SOURCE[place.pipeline][0]
    examples = place.run("snapshot").facts["rows"]
    key = move(place, start, to)
    place.ingest(to, to)
    first, last = sorted([start, to])
    with pytest.raises(
        DataError, match=f"(?s){key}: in {table} of {first} and again of {last}.*--date {start} "
    ) as error:
        place.run("snapshot")
    assert "--to build_features" in str(error.value)
    for step in INGEST:  # what the remedy's command does
        place.run(step, start)
    assert place.run("snapshot").facts["rows"] == examples


def test_a_day_that_only_aggregates_have_counts_too(at):
    place = at("snapshot", own_source=True)
    key = move(place, FIRST + timedelta(days=1), BEFORE)
    place.ingest(BEFORE, BEFORE)
    with pytest.raises(
        DataError,
        match=f"{key}: in transactions of {FIRST + timedelta(days=1)} and again of {BEFORE}",
    ):
        place.run("snapshot")


def test_what_is_scored_is_compared_with_what_matures(at):
    """Predict of D joins the transactions of D and those that mature on it."""
    place = at("predict", own_source=True)
    matured = DAY - timedelta(days=2)
    move(place, matured, DAY)
    place.ingest(DAY, DAY)
    with pytest.raises(DataError, match=f"of {matured} and again of {DAY}"):
        place.run("predict")


def test_both_days_extracted_again_is_as_good_as_ever(at):
    place = at("snapshot", own_source=True)
    examples = place.run("snapshot").facts["rows"]
    move(place, WEEK, WEEK + timedelta(days=1))
    place.ingest(WEEK, WEEK + timedelta(days=1))
    assert place.run("snapshot").facts["rows"] == examples
