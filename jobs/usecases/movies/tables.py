"""The tables of movies: what is aggregated a day, and what is published."""

from __future__ import annotations

import pyarrow as pa

from jobs.core.tables import Table

_DATE = pa.field("date", pa.date32(), nullable=False)
TOP = 20  # ranks of a user and algorithm


def _schema(nullable: tuple[str, ...] = (), **columns: pa.DataType) -> pa.Schema:
    return pa.schema(
        [_DATE, *(pa.field(name, kind, name in nullable) for name, kind in columns.items())]
    )


AGGREGATES = (
    Table(
        name="user_preferences_daily",
        key=("user_id", "genre"),
        grain="one row a day, user and genre of the movies that the user rated, liked or viewed on that day; "
        "a movie of several genres counts for each, one without for `unknown`",
        schema=_schema(
            nullable=("avg_rating",),
            user_id=pa.string(),
            genre=pa.string(),
            avg_rating=pa.float64(),
            total_interactions=pa.int64(),
            total_watch_time=pa.int64(),
            ratings=pa.int64(),
        ),
    ),
    Table(
        name="movie_daily",
        key=("movie_id",),
        grain="one row a day and movie with an interaction on that day",
        schema=_schema(
            nullable=("avg_rating",),
            movie_id=pa.string(),
            interactions=pa.int64(),
            users=pa.int64(),
            ratings=pa.int64(),
            avg_rating=pa.float64(),
            watch_time=pa.int64(),
        ),
    ),
)

PREDICTIONS = (
    Table(
        name="recommendations",
        key=("user_id", "algorithm", "rank"),
        kind="entity",
        ranked=True,
        grain=f"up to {TOP} rows a user seen in the window and algorithm, by rank; none that the user has seen",
        schema=_schema(
            user_id=pa.string(),
            algorithm=pa.string(),
            rank=pa.int64(),
            movie_id=pa.string(),
            title=pa.string(),
            score=pa.float64(),
            reason=pa.string(),
        ),
    ),
    Table(
        name="user_features",
        key=("user_id",),
        kind="entity",
        grain="one row a user seen in the window",
        schema=_schema(
            nullable=("avg_rating", "favourite_genre"),
            user_id=pa.string(),
            avg_rating=pa.float64(),
            total_interactions=pa.int64(),
            total_watch_time=pa.int64(),
            favourite_genre=pa.string(),
        ),
    ),
)
