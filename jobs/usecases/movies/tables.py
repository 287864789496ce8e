"""The tables of movies: the daily aggregates, and what is published."""

from __future__ import annotations

import pyarrow as pa

from jobs.core.tables import DATE, Column, Table

TOP = 20  # ranks per user and algorithm

_USER = Column("user_id", pa.string(), "id of the user")
_MOVIE = Column("movie_id", pa.string(), "id of the movie")
_RATINGS = Column("ratings", pa.int64(), "how many of those interactions are ratings")
_AVG_RATING = Column(
    "avg_rating", pa.float64(), "mean rating; null without a rating", nullable=True
)
_INTERACTIONS = Column("total_interactions", pa.int64(), "ratings, views and likes")
_WATCH_TIME = Column("total_watch_time", pa.int64(), "time that the user watched", unit="seconds")

AGGREGATES = (
    Table(
        name="user_preferences_daily",
        key=("user_id", "genre"),
        grain="one row per day, user and genre of the movies that the user rated, liked or viewed "
        "on that day; a movie counts for every genre that it has, or for `unknown`",
        columns=(
            DATE,
            _USER,
            Column("genre", pa.string(), "genre of the movies; `unknown` where a movie has none"),
            _AVG_RATING,
            _INTERACTIONS,
            _WATCH_TIME,
            _RATINGS,
        ),
    ),
    Table(
        name="movie_daily",
        key=("movie_id",),
        grain="one row per day and movie with an interaction on that day",
        columns=(
            DATE,
            _MOVIE,
            Column("interactions", pa.int64(), "ratings, views and likes"),
            Column("users", pa.int64(), "how many users interacted with the movie"),
            _RATINGS,
            _AVG_RATING,
            Column("watch_time", pa.int64(), "time that the movie was watched", unit="seconds"),
        ),
    ),
)

PREDICTIONS = (
    Table(
        name="recommendations",
        key=("user_id", "algorithm", "rank"),
        kind="entity",
        ranked=True,
        grain=f"up to {TOP} rows per algorithm and user with an interaction in the window, by "
        "rank; never a movie that the user has seen",
        columns=(
            DATE,
            _USER,
            Column("algorithm", pa.string(), "`hybrid`, `collaborative`, `content` or `popular`"),
            Column("rank", pa.int64(), "place of the movie in the list; 1 is the best"),
            _MOVIE,
            Column("title", pa.string(), "title of the movie, without the year"),
            Column(
                "score",
                pa.float64(),
                "what the algorithm ranks by; comparable only within one list",
            ),
            # Served content, unlike the text columns: readers show it, so digests cover it.
            Column("reason", pa.string(), "why the movie is recommended, in a few words"),
        ),
    ),
    Table(
        name="user_features",
        key=("user_id",),
        kind="entity",
        grain="one row per user with an interaction in the window",
        columns=(
            DATE,
            _USER,
            _AVG_RATING,
            _INTERACTIONS,
            _WATCH_TIME,
            Column(
                "favourite_genre",
                pa.string(),
                "genre of most interactions; null where no genre is known",
                nullable=True,
            ),
        ),
    ),
)
