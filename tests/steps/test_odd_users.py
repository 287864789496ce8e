"""A night of odd users: unknown movies, repeated ratings, one user with thousands of ratings."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

import pyarrow.compute as pc
import pytest

from jobs.core.steps import NIGHTLY
from jobs.stores import clickhouse
from jobs.usecases.discovery import find_usecase
from jobs.usecases.movies import model
from jobs.usecases.movies.interactions import deduplicate
from jobs.usecases.movies.recommend import ALGORITHMS
from nights import DAY, database_of, resume

pytestmark = [pytest.mark.slow, pytest.mark.nights("movies")]
MANY = 3000  # movies that the heavy user rates, of MANY + 40
RATE = "INSERT INTO user_interactions (id, user_id, movie_id, interaction_type, value, timestamp)"
STATEMENTS = (
    "INSERT INTO movies SELECT 'many-' || n, 'Film ' || n, 1950 + n % 60, 'Drama' "
    f"FROM generate_series(1, {MANY} + 40) n",
    f"{RATE} SELECT 'heavy-' || n, 'heavy', 'many-' || n, 'rating', 1 + n % 10, "
    f"'{DAY} 10:00Z'::timestamptz"
    f" + n * interval '1 second' FROM generate_series(1, {MANY}) n",
    # Everybody rates a movie that is not in the catalogue; if it were, it would be the most
    # popular.
    f"{RATE} SELECT 'lacks-' || n, 'fan-' || n, 'nowhere', 'rating', 9, '{DAY} 11:00Z' "
    "FROM generate_series(1, 300) n",
    f"{RATE} SELECT 'early-' || n, 'fan-' || n, 'nowhere', 'rating', 9, "
    f"'{DAY} 11:00Z'::timestamptz - interval '3 days'"
    " FROM generate_series(301, 600) n",
    f"{RATE} SELECT 'twice-1', 'twice', min(movie_id), 'rating', 2, '{DAY} 09:00Z' FROM movies",
    f"{RATE} SELECT 'twice-2', 'twice', min(movie_id), 'rating', 8, '{DAY} 12:00Z' FROM movies",
)
EARLY = DAY.replace(day=DAY.day - 3)


@pytest.fixture(scope="module")
def place(services, prepared, databases, tmp_path_factory):
    """The night of DAY has ended, published and verified."""
    with ExitStack() as stack:
        before = prepared("movies")["extract"]
        serving = stack.enter_context(databases("serving", database_of(before.postgres)))
        source = stack.enter_context(databases("source", database_of(before.source)))
        installation = resume(
            before, tmp_path_factory.mktemp("odd") / "home", serving, services.redis
        )
        installation = replace(installation, source=source)
        installation.set_params(validate={"min_volume_fraction": 0.0})
        for statement in STATEMENTS:
            installation.upstream(statement)
        installation.ingest(EARLY, EARLY)
        for step in NIGHTLY:
            installation.run(step)
        yield installation


@pytest.fixture(scope="module")
def recommended(place):
    """Movies by (user, algorithm), in the order of their ranks."""
    lists = {}
    for row in read(place, "recommendations").sort_by("rank").to_pylist():
        lists.setdefault((row["user_id"], row["algorithm"]), []).append(row["movie_id"])
    return lists


def read(place, name):
    every = {
        each.name: each
        for each in (*find_usecase("movies").aggregates, *find_usecase("movies").predictions)
    }
    with place.settings() as settings, clickhouse.connect_clickhouse(settings) as db:
        return db.read_partition("movies", every[name], DAY)


def test_the_night_ends_served(place):
    assert place.manifest("validate").facts["quarantine-user_interactions"] == {}
    assert place.manifest("verify").facts["state"] == "current"
    assert place.serving()["served"][0] == place.manifest("publish").facts["version"]


def test_a_rating_of_an_unknown_movie_counts_under_unknown(place):
    rows = [
        row
        for row in read(place, "user_preferences_daily").to_pylist()
        if row["user_id"] == "fan-7"
    ]
    assert [(row["genre"], row["avg_rating"], row["total_interactions"]) for row in rows] == [
        ("unknown", 9.0, 1)
    ]
    (movie,) = [
        row for row in read(place, "movie_daily").to_pylist() if row["movie_id"] == "nowhere"
    ]
    assert (movie["interactions"], movie["users"]) == (300, 300)


def test_an_unknown_movie_is_never_recommended(recommended):
    movies_listed = {movie for movies in recommended.values() for movie in movies}
    assert movies_listed and "nowhere" not in movies_listed


def test_who_is_known_by_unknown_movies_alone_gets_what_is_popular(recommended):
    lists = [
        recommended[fan, algorithm] for fan in ("fan-7", "fan-307") for algorithm in ALGORITHMS
    ]
    assert len(lists[0]) == 20 and all(movies == lists[0] for movies in lists)


def test_who_rated_thousands_is_served_twenty_unseen(recommended):
    seen = {f"many-{n}" for n in range(1, MANY + 1)}
    for algorithm in ALGORITHMS:
        movies = recommended["heavy", algorithm]
        assert len(set(movies)) == len(movies) == 20 and not seen & set(movies)


def test_of_two_ratings_both_are_rows_of_the_day_and_the_last_counts_in_training(place):
    rows = place.lake.read_table(place.manifest("snapshot").output("training_set"))
    mine = rows.filter(pc.equal(rows["user_id"], "twice"))
    assert sorted(mine["value"].to_pylist()) == [2, 8]
    kept, others = deduplicate(mine)
    assert (kept["value"].to_pylist(), others) == ([8], 1)
    (preference,) = {
        (row["total_interactions"], row["avg_rating"])
        for row in read(place, "user_preferences_daily").to_pylist()
        if row["user_id"] == "twice"
    }
    assert preference == (2, 5.0)
    (features,) = [
        row for row in read(place, "user_features").to_pylist() if row["user_id"] == "twice"
    ]
    assert (features["total_interactions"], features["avg_rating"]) == (2, 5.0)


def test_the_model_holds_the_movies_of_the_catalogue_and_no_other(place):
    fitted = model.load(place.lake.read_bytes(place.manifest("train").output("model").path))
    catalogue = place.lake.read_table(place.manifest("validate").output("movies"), ["movie_id"])
    assert set(fitted.scorers.catalogue.ids) == set(catalogue["movie_id"].to_pylist())
