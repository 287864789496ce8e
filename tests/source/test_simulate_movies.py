"""Simulated movies and their audience: repeatable, believable, and learnable."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pandas as pd
import psycopg2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.source.load import load
from jobs.source.request import Request
from jobs.source.simulation import to_database, to_files
from jobs.usecases.movies.operational.audience import CYCLE, gather
from jobs.usecases.movies.operational.catalogue import ARRIVING, EPOCH
from jobs.usecases.movies.operational.day import simulate_day
from jobs.usecases.movies.operational.readings import interactions, movies
from jobs.usecases.movies.operational.simulation import MovieSimulation
from jobs.usecases.movies.operational.tables import TABLES, USER_INTERACTIONS

SMALL = MovieSimulation(EPOCH, days=4, users=80, movies=60)
KNOWN_ROWS = [
    ("20180401-0000000", "U0000019", "0000036", "view", None, '{"watch_time_s": 4702}'),
    ("20180401-0000001", "U0000019", "0000036", "rating", 3.5, None),
    ("20180401-0000002", "U0000044", "0000002", "view", None, '{"watch_time_s": 7131}'),
]
KNOWN_MOVIES = [
    ("0000001", "Daughter of Zürich", 1964, "Action|Drama"),
    ("0000002", "The Asylum", 2016, "Horror|Romance|Thriller"),
]


def everything(simulation: MovieSimulation) -> pa.Table:
    return pa.concat_tables(day.interactions for _, day in simulation.tables())


@pytest.fixture(scope="module")
def months() -> pd.DataFrame:
    """Sixty days of a thousand users."""
    return everything(MovieSimulation(EPOCH, 60, 1000, 500)).to_pandas()


def of(rows, kind):
    return rows[rows["interaction_type"] == kind]


def test_the_same_seed_gives_the_same_rows_and_another_one_others():
    assert everything(SMALL).equals(everything(SMALL))
    assert not everything(SMALL).equals(everything(replace(SMALL, seed=1)))


def test_a_day_depends_neither_on_the_start_nor_on_the_number_of_days():
    long = dict(replace(SMALL, days=9).tables())
    late = dict(replace(SMALL, start=EPOCH + timedelta(days=3), days=2).tables())
    for day, rows in (*SMALL.tables(), *late.items()):
        assert rows.interactions.equals(long[day].interactions)
        assert rows.movies.equals(long[day].movies)


def test_known_rows_of_a_known_seed():
    """The rows are a contract: whoever simulates this seed, on whatever machine, gets these."""
    audience = gather(0, 50, 40)
    rows = simulate_day(audience, EPOCH).drop_columns(["timestamp"]).slice(0, 3).to_pylist()
    assert [tuple(row.values()) for row in rows] == KNOWN_ROWS
    assert [
        tuple(row.values()) for row in audience.movies.rows.slice(0, 2).to_pylist()
    ] == KNOWN_MOVIES


def test_ids_are_unique_sorted_by_time_and_inside_their_day(months):
    assert months["id"].is_unique
    assert months["timestamp"].is_monotonic_increasing
    assert (months["id"].str[:8] == months["timestamp"].dt.strftime("%Y%m%d")).all()
    assert list(months) == list(USER_INTERACTIONS.names)
    assert set(months["interaction_type"]) == {"view", "rating", "like"}


def test_ratings_have_values_on_the_scale_and_views_their_watch_time(months):
    ratings, views = of(months, "rating"), of(months, "view")
    assert ratings["value"].between(0, 10).all()
    assert (ratings["value"] * 2 % 1 == 0).all()
    halves = (ratings["value"] % 1 > 0).mean()
    assert 0.05 < halves < 0.3
    assert 6.5 < ratings["value"].mean() < 8
    assert of(months, "like")["value"].isna().all()
    assert views["value"].isna().all()
    watched = views["metadata"].map(json.loads).map(lambda each: each["watch_time_s"])
    assert watched.between(60, 4 * 3600).all()
    assert months.loc[views.index.symmetric_difference(months.index), "metadata"].isna().all()


def test_who_rates_or_likes_has_watched_before_on_that_day(months):
    months = months.assign(day=months["timestamp"].dt.date)
    key = ["day", "user_id", "movie_id"]
    views = of(months, "view").set_index(key)["timestamp"]
    assert views.index.is_unique
    for kind in ("rating", "like"):
        later = of(months, kind).set_index(key)["timestamp"]
        assert ((later - views.reindex(later.index)) > timedelta(0)).all()


def test_a_few_movies_and_a_few_users_have_most_of_it(months):
    views = of(months, "view")
    for key, at_least in (("movie_id", 0.22), ("user_id", 0.25)):
        counts = views[key].value_counts().to_numpy()
        assert counts[: len(counts) // 10].sum() > at_least * counts.sum()  # 0.1 if all were alike
        assert counts[0] > 3 * np.median(counts)


def test_a_user_comes_across_every_movie_once_in_a_cycle():
    audience = gather(0, 7, 500)
    users = np.arange(7)
    turns = -(-audience.modulus // audience.offered(users, EPOCH).shape[1])
    assert turns <= CYCLE
    first = EPOCH - timedelta(days=EPOCH.toordinal() % turns)
    offered = np.hstack([audience.offered(users, first + timedelta(days=n)) for n in range(turns)])
    for row in offered:
        assert sorted(movie for movie in row if movie < 500) == list(range(500))


def test_new_movies_arrive_are_not_watched_before_and_wanted_at_first():
    simulation = MovieSimulation(EPOCH, 120, 1000, 300)
    films = gather(0, 1000, 300).movies
    catalogue_sizes = [len(day.movies) for _, day in simulation.tables()]
    assert 180 < catalogue_sizes[0] < 220
    assert 20 < catalogue_sizes[-1] - catalogue_sizes[0] < 50
    rows = of(everything(simulation).to_pandas(), "view")
    arrival = dict(zip(films.rows["movie_id"].to_pylist(), films.arrival.tolist(), strict=True))
    age = rows["timestamp"].map(lambda at: at.toordinal()) - rows["movie_id"].map(arrival)
    assert (age >= 0).all()
    of_new = age[rows["movie_id"].map(arrival) > 0]
    fresh, older = (of_new < 20).sum(), of_new.between(60, 79).sum()
    assert fresh > 1.5 * older
    assert len(films.on(EPOCH - timedelta(days=1))) == (films.arrival == 0).sum()
    assert len(films.on(EPOCH + timedelta(days=ARRIVING))) == 300


def test_tastes_drift():
    audience = gather(0, 300, 50)
    today, week, year = (audience.taste_on(EPOCH + timedelta(days=ahead)) for ahead in (0, 7, 365))

    def alike(a, b):
        return np.mean(
            np.sum(a * b, axis=1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
        )

    assert alike(today, week) > 0.99
    assert alike(today, year) < 0.9


def test_movies_have_titles_years_and_genres_and_some_lack_them():
    rows = gather(0, 1, 3000).movies.rows.to_pandas()
    assert rows["movie_id"].is_unique
    assert rows["title"].str.len().min() > 2
    assert rows["year"].dropna().between(1930, 2019).all()
    for column in ("year", "genres"):
        assert 10 < rows[column].isna().sum() < 60
    assert rows["genres"].dropna().str.count(r"\|").between(0, 2).all()
    assert (
        rows["genres"].str.contains("Drama").mean() > 3 * rows["genres"].str.contains("War").mean()
    )


@pytest.mark.parametrize("kind", ["view", "rating"])
def test_a_collaborative_model_beats_popularity(months, kind):
    """Recall@10 of new watches in the last twelve days, by item-item cosine."""
    rows = of(months, kind)
    user, movie = rows["user_id"].factorize()[0], rows["movie_id"].factorize()[0]
    past = (rows["timestamp"] < pd.Timestamp("2018-05-19", tz="UTC")).to_numpy()
    seen = np.zeros((user.max() + 1, movie.max() + 1))
    wanted = seen.copy()
    seen[user[past], movie[past]] = 1
    wanted[user[~past], movie[~past]] = 1
    wanted *= 1 - seen
    norm = np.maximum(np.linalg.norm(seen, axis=0), 1)
    alike = seen.T @ seen / np.outer(norm, norm)
    np.fill_diagonal(alike, 0)
    judged = (wanted.sum(axis=1) > 0) & (seen.sum(axis=1) > 0)

    def recall(scores):
        top = np.argsort(-np.where(seen > 0, -1, scores), axis=1)[:, :10]
        hits = np.take_along_axis(wanted, top, axis=1).sum(axis=1)
        return np.mean(hits[judged] / np.minimum(wanted.sum(axis=1)[judged], 10))

    popularity, collaborative = (
        recall(np.tile(seen.sum(axis=0), (len(seen), 1))),
        recall(seen @ alike),
    )
    assert popularity > 0.05
    assert collaborative > 1.2 * popularity


@pytest.mark.parametrize(("users", "films"), [(1, 1), (1, 2), (3, 100)])
def test_few_users_and_movies_are_enough(users, films):
    rows = everything(MovieSimulation(EPOCH + timedelta(days=ARRIVING), 60, users, films))
    assert len(rows) > 0
    assert rows.schema.names == list(USER_INTERACTIONS.names)


def contents(dsn):
    """The rows of both tables, by id."""
    with (
        closing(psycopg2.connect(dsn, options="-c timezone=UTC")) as connection,
        connection.cursor() as cursor,
    ):
        found = []
        for table in TABLES:
            cursor.execute(f"SELECT * FROM {table.name} ORDER BY {table.key}")
            found.append(cursor.fetchall())
        cursor.execute("SELECT xmin::text FROM user_interactions ORDER BY id")
        return found, cursor.fetchall()


def expected():
    days = [day for _, day in SMALL.tables()]
    rows = everything(SMALL).to_pylist()
    for row in rows:
        row["metadata"] = row["metadata"] and json.loads(row["metadata"])
    return [[tuple(row.values()) for row in each] for each in (rows, days[-1].movies.to_pylist())]


def test_the_database_holds_what_was_simulated_and_a_second_time_writes_nothing(source_db):
    seen = []
    made = to_database(source_db, SMALL, seen.append)
    (interactions_there, movies_there), written = contents(source_db)
    assert [interactions_there, movies_there] == expected()
    assert (made.views + made.ratings + made.likes, made.movies) == (
        len(interactions_there),
        len(movies_there),
    )
    assert min(made.views, made.ratings, made.likes) > 0
    assert seen == [1, 2, 3, 4]
    to_database(source_db, SMALL, seen.append)
    assert contents(source_db)[1] == written


def test_files_loaded_give_the_same_tables_as_the_database(source_db, tmp_path):
    to_files(tmp_path, SMALL, lambda done: None)
    for table, reading in zip(TABLES, (interactions(), movies()), strict=True):
        files = (str(tmp_path / table.name / "*.parquet"),)
        summary = load(
            source_db,
            Request(table, files, reading=reading, others=TABLES),
            tmp_path / "bad.csv",
            lambda *_: None,
        )
        assert (summary.files, summary.rejected, summary.ignored) == (4, {}, ())
    assert contents(source_db)[0] == expected()


def test_parquet_files_repeat_byte_by_byte(tmp_path):
    for folder in ("a", "b"):
        to_files(tmp_path / folder, replace(SMALL, days=1), lambda done: None)
    for table in TABLES:
        one, two = (tmp_path / folder / table.name / "2018-04-01.parquet" for folder in ("a", "b"))
        assert one.read_bytes() == two.read_bytes()
        assert pq.read_table(one).num_rows > 0


def test_a_day_without_anybody_is_an_empty_table_of_the_same_columns():
    audience = gather(0, 1, 1)
    days = [
        simulate_day(audience, date(2017, 1, 1) + timedelta(days=number)) for number in range(40)
    ]
    empty = [rows for rows in days if not len(rows)]
    assert empty
    assert {rows.schema for rows in days} == {empty[0].schema}
