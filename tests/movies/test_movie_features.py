"""Features against a twin in pandas: aggregates by genre and by movie, splits, and what pleased."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from jobs.core.identity import days
from jobs.usecases.movies import features
from jobs.usecases.movies.params import MoviesPredictParams, MoviesSnapshotParams
from jobs.usecases.movies.sources import SOURCES
from jobs.usecases.movies.tables import AGGREGATES

FIRST, LAST = date(2024, 2, 27), date(2024, 3, 2)
PREFERENCES, BY_MOVIE = AGGREGATES
INTERACTIONS, CATALOGUE = SOURCES
SNAPSHOT = MoviesSnapshotParams(train_days=2, holdout_days=2)
# What a source may contain: several genres, one, none in three ways, a repeat, an extra separator.
GENRES = (
    "Drama|Comedy|War",
    "Horror",
    None,
    "",
    "  ",
    "Drama|Drama",
    "Comedy||Sci-Fi|",
    "Comédie|☃",
    "|",
)


def moment(day, hour=12):
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(hours=float(hour))


@pytest.fixture(scope="module")
def catalogue():
    rows = [
        {
            "movie_id": f"m{n}",
            "title": f"Film {n}",
            "year": 1990 + n if n % 3 else None,
            "genres": genres,
        }
        for n, genres in enumerate(GENRES)
    ]
    return pa.Table.from_pylist(rows, CATALOGUE.schema)


@pytest.fixture(scope="module")
def interactions():
    """Some hundreds of interactions of a few users; two of the movies are not in the catalogue."""
    chance = np.random.default_rng(4)
    span, rows = list(days(FIRST, LAST)), []
    for number in range(400):
        kind = str(chance.choice(["rating", "view", "like"], p=[0.5, 0.35, 0.15]))
        rows.append(
            {
                "id": f"i{number:03}",
                "user_id": f"u{chance.integers(6)}",
                "movie_id": f"m{chance.integers(len(GENRES) + 2)}",
                "interaction_type": kind,
                "value": float(chance.integers(1, 101)) / 10
                if kind == "rating"
                else chance.choice([None, 9.0]),
                "event_time": moment(span[chance.integers(len(span))], chance.integers(24)),
                "watch_time_s": int(chance.integers(0, 9000))
                if kind == "view" and chance.random() < 0.8
                else None,
            }
        )
    on_the_edge = {"interaction_type": "rating", "value": 7.0, "event_time": moment(LAST, 0)}
    rows.append(rows[0] | {"id": "midnight"} | on_the_edge)
    return pa.Table.from_pylist(rows, INTERACTIONS.schema)


@pytest.fixture(scope="module")
def daily(frame, interactions, catalogue):
    rows = {"user_interactions": frame(interactions), "movies": frame(catalogue)}
    return {name: aggregate.toPandas() for name, aggregate in features.aggregate(rows).items()}


@pytest.fixture(scope="module")
def training(frame, interactions, catalogue):
    asked = features.training_days(LAST, SNAPSHOT)["user_interactions"]
    wanted = [value.date() in asked for value in interactions["event_time"].to_pylist()]
    rows = {
        "user_interactions": frame(interactions.filter(pa.array(wanted))),
        "movies": frame(catalogue),
    }
    return features.training_set(rows, LAST, SNAPSHOT).toArrow().to_pylist()


def plain(interactions):
    rows = interactions.to_pandas()
    rated = rows["value"].where(rows["interaction_type"] == "rating")
    return rows.assign(date=rows["event_time"].dt.date, rated=rated)


def summary(groups):
    return groups.agg(
        total=("id", "size"),
        watch=("watch_time_s", "sum"),
        ratings=("rated", "count"),
        mean=("rated", "mean"),
    )


def same(actual, expected, keys, total, watch):
    """The rows of `found`, by key, are those of the twin."""
    actual = actual.set_index(keys).sort_index()
    assert actual.index.is_unique and actual.index.tolist() == expected.sort_index().index.tolist()
    expected = expected.sort_index()
    assert actual[total].tolist() == expected["total"].tolist()
    assert actual[watch].tolist() == expected["watch"].astype(int).tolist()
    assert actual["ratings"].tolist() == expected["ratings"].tolist()
    assert actual["avg_rating"].isna().tolist() == (expected["ratings"] == 0).tolist()
    np.testing.assert_allclose(actual["avg_rating"].astype(float), expected["mean"], rtol=1e-12)


def test_preferences_equal_their_twin(daily, interactions, catalogue):
    genres = dict(catalogue.select(["movie_id", "genres"]).to_pandas().itertuples(index=False))
    rows = plain(interactions)
    named = [
        sorted({name for name in (genres.get(movie) or "").strip().split("|") if name})
        or ["unknown"]
        for movie in rows["movie_id"]
    ]
    rows = rows.assign(genre=named).explode("genre")
    keys = ["date", "user_id", "genre"]
    same(
        daily[PREFERENCES.name],
        summary(rows.groupby(keys)),
        keys,
        "total_interactions",
        "total_watch_time",
    )
    assert {"Drama", "War", "Comédie", "☃", "Sci-Fi", "unknown"} <= set(
        rows["genre"]
    ) and "" not in set(rows["genre"])


def test_movies_by_day_equal_their_twin(daily, interactions):
    rows = plain(interactions)
    keys = ["date", "movie_id"]
    groups = rows.groupby(keys)
    by_movie = daily[BY_MOVIE.name]
    same(by_movie, summary(groups), keys, "interactions", "watch_time")
    assert (
        by_movie.set_index(keys).sort_index()["users"].tolist()
        == groups["user_id"].nunique().tolist()
    )
    assert set(rows["movie_id"]) > {
        f"m{n}" for n in range(len(GENRES))
    }  # also of movies that nobody knows
    assert by_movie["avg_rating"].isna().any() and (by_movie["watch_time"] == 0).any()


def test_the_order_of_rows_does_not_change_an_aggregate(daily, frame, interactions, catalogue):
    order = np.random.default_rng(9).permutation(interactions.num_rows)
    rows = {
        "user_interactions": frame(interactions.take(order)),
        "movies": frame(catalogue.slice(3)),
    }
    rows["movies"] = frame(pa.concat_tables([catalogue.slice(3), catalogue.slice(0, 3)]))
    for table in AGGREGATES:
        keys = ["date", *table.key]
        aggregate = (
            features.aggregate(rows)[table.name].toPandas().sort_values(keys, ignore_index=True)
        )
        pd.testing.assert_frame_equal(
            aggregate, daily[table.name].sort_values(keys, ignore_index=True), check_exact=True
        )


def test_the_training_set_is_a_row_an_interaction_with_split_and_label(
    training, interactions, catalogue
):
    movies = {row["movie_id"]: row for row in catalogue.to_pylist()}
    first = LAST - timedelta(days=3)
    expected = {
        row["id"]: row for row in interactions.to_pylist() if row["event_time"].date() >= first
    }
    assert len(training) == len(expected) and {row["id"] for row in training} == set(expected)
    for row in training:
        given, movie = expected[row["id"]], movies.get(row["movie_id"], {})
        day = given["event_time"].date()
        assert row["date"] == day and row["split"] == (
            "train" if day < LAST - timedelta(days=1) else "holdout"
        )
        assert {name: row[name] for name in ("title", "year", "genres")} == {
            name: movie.get(name) for name in ("title", "year", "genres")
        }
    assert {(row["split"], row["relevant"]) for row in training} == {
        ("train", True),
        ("holdout", True),
    }
    assert any(row["title"] is None for row in training)


def test_the_days_asked_for_end_with_the_day():
    training = features.training_days(LAST, SNAPSHOT)
    assert training == {
        "user_interactions": list(days(LAST - timedelta(days=3), LAST)),
        "movies": [LAST],
    }
    scoring = features.scoring_days(LAST, MoviesPredictParams(history_days=3))
    window = list(days(LAST - timedelta(days=2), LAST))
    assert scoring == {
        "user_interactions": window,
        "movies": [LAST],
        "user_preferences_daily": window,
    }


def test_a_day_without_interactions_has_no_rows(frame, catalogue):
    nothing = frame(INTERACTIONS.schema.empty_table())
    rows = {"user_interactions": nothing, "movies": frame(catalogue)}
    assert [aggregate.count() for aggregate in features.aggregate(rows).values()] == [0, 0]
    assert features.scoring_set(rows, LAST, MoviesPredictParams()).count() == 0
