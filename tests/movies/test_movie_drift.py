"""Watched columns of an interaction: one genre per row, user activity, first recommendation."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from movie_world import DAY, START, interactions, world

from jobs.usecases.movies import drift, model
from jobs.usecases.movies.params import MoviesTrainParams


def with_ids(table):
    return table.append_column("id", pa.array([f"i{row:05}" for row in range(table.num_rows)]))


def day(number):
    return (datetime.fromtimestamp(START / 1e6, UTC) + timedelta(days=number)).date()


@pytest.fixture(scope="module")
def table():
    return with_ids(world())


@pytest.fixture(scope="module")
def fitted(table):
    return model.fit(table, MoviesTrainParams(threads=1, ranker=False))


def test_of_several_genres_each_has_its_share():
    rows = with_ids(
        interactions(
            [
                {
                    "user_id": "u",
                    "movie_id": f"m{n}",
                    "event_time": START + n,
                    "value": 5.0,
                    "genres": "Action|Comedy|Drama|Horror",
                }
                for n in range(4000)
            ]
        )
    )
    counts = Counter(drift.genres(rows).to_pylist())
    assert set(counts) == {"Action", "Comedy", "Drama", "Horror"}
    assert all(abs(count - 1000) < 120 for count in counts.values())


def test_the_genre_of_an_interaction_depends_on_its_id_alone(table):
    backwards = table.take(pa.array(range(table.num_rows - 1, -1, -1)))
    assert drift.genres(backwards).to_pylist() == drift.genres(table).to_pylist()[::-1]


def test_a_movie_without_genre_is_of_the_unknown_one():
    rows = with_ids(interactions([("u", "m", START, 5.0)]))
    assert drift.genres(rows).to_pylist() == ["unknown"]


def test_activity_counts_what_the_user_did_in_the_thirty_days_before():
    times = [START, START + 1_000_000, START + 29 * DAY, START + 31 * DAY, START + 80 * DAY]
    rows = [("u", f"m{n}", time, 5.0) for n, time in enumerate(times)] + [
        ("v", "m0", START + 2_000_000, 5.0)
    ]
    activity = drift.activity(interactions(rows)).to_pylist()
    assert activity == ["cold", "light", "light", "light", "cold", "cold"]


def test_activity_knows_many_interactions_from_few():
    rows = [("u", f"m{n}", START + n * 1_000_000, 5.0) for n in range(25)]
    counts = Counter(drift.activity(interactions(rows)).to_pylist())
    assert counts == {"cold": 1, "light": 4, "medium": 15, "heavy": 5}


def test_every_watched_column_is_among_the_examples_of_the_day(table, fitted):
    since = day(50)
    predicted = drift.predictions(fitted, drift.examples(table, since), table)
    assert {each.name for each in (*drift.FEATURES, *drift.PREDICTIONS)} <= set(
        predicted.column_names
    )
    assert (
        predicted.num_rows == pc.sum(pc.greater_equal(table["date"], pa.scalar(since))).as_py() > 50
    )
    assert drift.LABEL is None


def test_a_user_who_was_there_before_has_one_recommendation_and_a_new_one_has_none(table, fitted):
    since = day(50)
    new = with_ids(interactions([("new", "m001", START + 55 * DAY, 5.0)])).select(
        table.column_names
    )
    events = pa.concat_tables([table, new.cast(table.schema)])
    predicted = drift.predictions(fitted, drift.examples(events, since), events).to_pandas()
    recommended = predicted[predicted["recommended_genre"].notna()]
    assert recommended["user_id"].is_unique and set(recommended["user_id"]) == set(
        predicted["user_id"]
    ) - {"new"}
    assert recommended["recommended_score"].notna().all()
    assert set(recommended["recommended_genre"]) <= {
        "Action",
        "Comedy",
        "Drama",
        "Horror",
        "unknown",
    }


def test_without_any_history_nothing_is_recommended(table, fitted):
    predicted = drift.predictions(fitted, drift.examples(table, day(-1)), table)
    assert predicted["recommended_genre"].null_count == predicted.num_rows == table.num_rows


def test_a_day_without_interactions_has_empty_examples(table, fitted):
    empty = drift.examples(table, day(1000))
    assert empty.num_rows == 0 and drift.predictions(fitted, empty, table).num_rows == 0
