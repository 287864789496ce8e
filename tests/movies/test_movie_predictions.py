"""What is published, against loops over plain rows."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from movie_world import START, world

from jobs.core.digest import table_digest
from jobs.usecases.movies import model, predictions
from jobs.usecases.movies.params import MoviesPredictParams, MoviesTrainParams
from jobs.usecases.movies.recommend import ALGORITHMS
from jobs.usecases.movies.tables import AGGREGATES, PREDICTIONS

DAY = date(2024, 1, 20)
PARAMS = MoviesPredictParams()
RECOMMENDATIONS, FEATURES = PREDICTIONS
PREFERENCES = AGGREGATES[0]
STRANGER = {
    "user_id": "stranger",
    "movie_id": "nowhere",
    "interaction_type": "like",
    "value": None,
    "title": None,
    "year": None,
    "genres": None,
}


@pytest.fixture(scope="module")
def trained():
    """On ten users fewer than are scored."""
    rows = world()
    known = rows.filter(pc.less(rows["user_id"], "u110"))
    return model.fit(known, MoviesTrainParams(threads=1, ranker=False, ease_regularisation=20))


@pytest.fixture(scope="module")
def events():
    """Interactions of the window with ids and watch time; one user likes an uncatalogued movie."""
    rows = world()
    stranger = pa.Table.from_pylist(
        [STRANGER | {"event_time": START, "date": DAY, "split": "train"}],
        rows.schema.set(
            rows.schema.get_field_index("event_time"), pa.field("event_time", pa.int64())
        ),
    ).cast(rows.schema)
    rows = pa.concat_tables([rows, stranger])
    count = rows.num_rows
    watched = [None if n % 3 else n for n in range(count)]
    return rows.append_column("id", pa.array([f"i{n:05}" for n in range(count)])).append_column(
        "watch_time_s", pa.array(watched, pa.int64())
    )


@pytest.fixture(scope="module")
def preferences(events):
    """By day, user and genre, as build_features leaves them."""
    counts = Counter(
        (row["date"], row["user_id"], row["genres"] or "unknown") for row in events.to_pylist()
    )
    rows = [
        {
            "date": day,
            "user_id": user,
            "genre": genre,
            "avg_rating": None,
            "total_interactions": count,
            "total_watch_time": 0,
            "ratings": 0,
        }
        for (day, user, genre), count in counts.items()
    ]
    return pa.Table.from_pylist(rows, PREFERENCES.schema)


def build(trained, events, preferences):
    return predictions.build(trained, events, None, {PREFERENCES.name: preferences}, DAY, PARAMS)


@pytest.fixture(scope="module")
def built(trained, events, preferences):
    return build(trained, events, preferences)


def test_tables_have_their_schemas_and_unique_keys(built):
    for table in PREDICTIONS:
        rows_built = built[table.name]
        assert rows_built.schema == table.schema and set(rows_built["date"].to_pylist()) == {DAY}
        keys = list(zip(*(rows_built[name].to_pylist() for name in table.key), strict=True))
        assert len(set(keys)) == len(keys) > 100


def test_every_user_has_ranks_without_holes_by_every_algorithm_of_unseen_movies(built, events):
    seen, lists = defaultdict(set), defaultdict(list)
    for row in events.to_pylist():
        seen[row["user_id"]].add(row["movie_id"])
    for row in built[RECOMMENDATIONS.name].to_pylist():
        lists[row["user_id"], row["algorithm"]].append(row)
    assert set(lists) == {(user, algorithm) for user in seen for algorithm in ALGORITHMS}
    for (user, _), rows in lists.items():
        movies = [row["movie_id"] for row in rows]
        assert [row["rank"] for row in rows] == list(range(1, 21))
        assert len(set(movies)) == 20 and not seen[user] & set(movies)
        scores = [row["score"] for row in rows]
        assert scores == sorted(scores, reverse=True) and all(
            row["title"] and row["reason"] for row in rows
        )


def test_who_is_known_by_unknown_movies_alone_gets_what_is_popular_today(built, trained, events):
    rows = [row for row in built[RECOMMENDATIONS.name].to_pylist() if row["user_id"] == "stranger"]
    lists = [[row["movie_id"] for row in rows if row["algorithm"] == name] for name in ALGORITHMS]
    popularity = model.refreshed(trained, events).scorers.popularity[0]
    best = np.argsort(-popularity, kind="stable")[:20]
    assert lists == [trained.scorers.catalogue.ids[best].tolist()] * len(ALGORITHMS)
    assert {row["reason"] for row in rows} == {"popular"}


def test_features_equal_their_twin(built, events, preferences):
    mine = defaultdict(list)
    for row in events.to_pylist():
        mine[row["user_id"]].append(row)
    genres = defaultdict(Counter)
    for row in preferences.to_pylist():
        genres[row["user_id"]][row["genre"]] += row["total_interactions"]
    by_user = {row["user_id"]: row for row in built[FEATURES.name].to_pylist()}
    assert by_user.keys() == mine.keys()
    for user, rows in mine.items():
        ratings = [row["value"] for row in rows if row["interaction_type"] == "rating"]
        known = [(-count, genre) for genre, count in genres[user].items() if genre != "unknown"]
        favourite = min(known)[1] if known else None
        assert by_user[user] == {
            "date": DAY,
            "user_id": user,
            "avg_rating": pytest.approx(sum(ratings) / len(ratings), rel=1e-12)
            if ratings
            else None,
            "total_interactions": len(rows),
            "total_watch_time": sum(row["watch_time_s"] or 0 for row in rows),
            "favourite_genre": favourite,
        }
    assert (
        by_user["stranger"]["favourite_genre"] is None and by_user["stranger"]["avg_rating"] is None
    )


def test_the_order_of_rows_does_not_change_the_digest(trained, built, events, preferences):
    chance = np.random.default_rng(3)
    shuffled = [table.take(chance.permutation(table.num_rows)) for table in (events, preferences)]
    other = build(trained, *shuffled)
    for table in PREDICTIONS:
        assert table_digest(built[table.name], table.key) == table_digest(
            other[table.name], table.key
        )


def test_who_saw_all_gets_nothing_and_who_saw_nearly_all_gets_the_rest(
    trained, events, preferences
):
    ids = trained.scorers.catalogue.ids.tolist()
    first = events.slice(0, 1).to_pylist()[0]
    rows = [
        first | {"id": f"{user}{movie}", "user_id": user, "movie_id": movie}
        for user, saw in (("all", ids), ("nearly", ids[3:]))
        for movie in saw
    ]
    tables_built = build(trained, pa.Table.from_pylist(rows, events.schema), preferences)
    lists = defaultdict(list)
    for row in tables_built[RECOMMENDATIONS.name].to_pylist():
        lists[row["user_id"], row["algorithm"]].append((row["rank"], row["movie_id"]))
    assert {user for user, _ in lists} == {"nearly"}
    for rows in lists.values():
        assert [rank for rank, _ in rows] == [1, 2, 3] and {movie for _, movie in rows} == set(
            ids[:3]
        )
    assert tables_built[FEATURES.name]["user_id"].to_pylist() == ["all", "nearly"]


def test_nobody_is_an_empty_table_of_each_kind(trained, events):
    tables_built = build(trained, events.slice(0, 0), PREFERENCES.schema.empty_table())
    assert {name: table.num_rows for name, table in tables_built.items()} == {
        table.name: 0 for table in PREDICTIONS
    }
    assert [tables_built[table.name].schema for table in PREDICTIONS] == [
        table.schema for table in PREDICTIONS
    ]
