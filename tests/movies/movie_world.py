"""Interactions for the tests of movies: those of MovieTweetings, and a small world with tastes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from jobs.core.settings import PROJECT

RATINGS = (PROJECT / "../shared/data/ratings").resolve()
DAY = 86_400_000_000
START = 1_700_000_000_000_000
GENRES = ("Action", "Comedy", "Drama", "Horror")


def interactions(rows):
    """A training table of (user, movie, µs, value) or dicts; movies lack title, year and genre."""
    names = ("user_id", "movie_id", "event_time", "value")
    named = [row if isinstance(row, dict) else dict(zip(names, row, strict=True)) for row in rows]
    plain = {"interaction_type": "rating", "year": None, "genres": None}
    full = [plain | {"title": f"Title {row['movie_id']}"} | row for row in named]
    return table(pd.DataFrame(full))


def table(frame):
    times = pa.array(frame["event_time"].to_numpy(np.int64)).cast(pa.timestamp("us", "UTC"))
    return pa.table(
        {
            "user_id": pa.array(frame["user_id"], pa.string()),
            "movie_id": pa.array(frame["movie_id"], pa.string()),
            "event_time": times,
            "interaction_type": pa.array(frame["interaction_type"], pa.string()),
            "value": pa.array(frame["value"], pa.float64(), from_pandas=True),
            "title": pa.array(frame["title"], pa.string()),
            "year": pa.array(frame["year"], pa.int32(), from_pandas=True),
            "genres": pa.array(frame["genres"], pa.string()),
            "date": pc.cast(times, pa.date32()),
            "split": pa.array(["train"] * len(frame)),
        }
    )


def world(users=120, movies=60, each=12, seed=0):
    """Users who like one genre and mostly rate its movies; some movies get more ratings."""
    chance = np.random.default_rng(seed)
    genre = np.arange(movies) % len(GENRES)
    appeal = 1 / (1 + np.arange(movies)) ** 0.7
    rows = []
    for user in range(users):
        odds = appeal * np.where(genre == user % len(GENRES), 8, 1)
        for movie in chance.choice(movies, each, replace=False, p=odds / odds.sum()):
            liked = genre[movie] == user % len(GENRES)
            rows.append(
                {
                    "user_id": f"u{user:03}",
                    "movie_id": f"m{movie:03}",
                    "interaction_type": "rating",
                    "event_time": START + int(chance.integers(0, 60 * DAY)),
                    "value": float(chance.integers(6, 11) if liked else chance.integers(1, 7)),
                    "title": f"Film {movie} ☃",
                    "year": 1960 + movie if movie % 7 else None,
                    "genres": GENRES[genre[movie]] if movie % 9 else None,
                }
            )
    return table(pd.DataFrame(rows).sample(frac=1, random_state=seed))


def tweets(folder: Path = RATINGS):
    """MovieTweetings as (training table, catalogue); skips where it is missing."""
    if not folder.exists():
        pytest.skip(f"{folder} is missing: the ratings of MovieTweetings are not on this machine")
    movies = [line.split("::") for line in (folder / "movies.dat").read_text().splitlines()]
    catalogue = pd.DataFrame(
        {
            "movie_id": [row[0] for row in movies],
            "title": [row[1][:-7] for row in movies],
            "year": [int(row[1][-5:-1]) for row in movies],
            "genres": [row[2] or None for row in movies],
        }
    )
    names = ["user_id", "movie_id", "value", "event_time"]
    ratings = pd.read_csv(
        folder / "ratings.dat",
        sep="::",
        engine="python",
        names=names,
        dtype={"user_id": str, "movie_id": str},
    )
    ratings = ratings.merge(catalogue, on="movie_id", how="left").assign(interaction_type="rating")
    ratings["event_time"] *= 1_000_000
    return table(ratings), pa.Table.from_pandas(catalogue, preserve_index=False)


def core(rows, least):
    """The rows of users and movies that have at least `least` of each other."""
    while True:
        frame = rows.select(["user_id", "movie_id"]).to_pandas()
        enough = [frame.groupby(name)[name].transform("size") >= least for name in frame]
        if (keep := enough[0] & enough[1]).all():
            return rows
        rows = rows.filter(pa.array(keep))
