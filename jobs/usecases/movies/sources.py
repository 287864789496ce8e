"""What movies extracts from the operational database, and what makes a row good."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa

from jobs.core.rules import first_of, garbled
from jobs.core.tables import TIME, Column, Source
from jobs.usecases.movies.params import MoviesValidateParams
from jobs.usecases.typed import RulesOf

if TYPE_CHECKING:
    import pandas as pd

KINDS = ("rating", "view", "like")
# Years of release. They do not depend on D: the catalogue that a past day gets is today's.
YEARS = (1870, 2100)


def judge_interactions(rows: pd.DataFrame, day: date, params: MoviesValidateParams) -> pd.Series:
    """One reason per row, null for a good row.

    A rating of a movie that the catalogue lacks is good.
    """
    low, high = params.scale
    rating = rows["interaction_type"] == "rating"
    return first_of(
        rows,
        (rows["event_time"].dt.date != day, f"timestamp is not on {day}"),
        (~rows["interaction_type"].isin(KINDS), f"interaction_type is none of {', '.join(KINDS)}"),
        (rating & rows["value"].isna(), "rating without a value"),
        (rating & ~rows["value"].between(low, high), f"rating outside {low:g} to {high:g}"),
        (rows["watch_time_s"] < 0, "negative watch time"),
        (garbled(rows), "text in an unknown encoding"),
    )


def judge_movies(rows: pd.DataFrame, day: date, params: MoviesValidateParams) -> pd.Series:
    """One reason per row, null for a good row; year and genres may be missing."""
    return first_of(
        rows,
        (~rows["year"].isna() & ~rows["year"].between(*YEARS), "year out of range"),
        (garbled(rows), "text in an unknown encoding"),
    )


SOURCES = (
    Source(
        name="user_interactions",
        query=(
            'SELECT id, user_id, movie_id, interaction_type, value, "timestamp" AS event_time,'
            " metadata->>'watch_time_s' AS watch_time_s"
            ' FROM user_interactions WHERE "timestamp" >= %(start)s AND "timestamp" < %(end)s'
        ),
        tables={
            "user_interactions": (
                "id",
                "user_id",
                "movie_id",
                "interaction_type",
                "value",
                "timestamp",
                "metadata",
            )
        },
        columns=(
            Column("id", pa.string(), "id of the interaction"),
            Column("user_id", pa.string(), "id of the user"),
            Column("movie_id", pa.string(), "id of the movie"),
            Column("interaction_type", pa.string(), "`rating`, `view` or `like`"),
            Column("value", pa.float64(), "rating; null for other interactions", nullable=True),
            Column("event_time", TIME, "time of the interaction"),
            Column(
                "watch_time_s",
                pa.int64(),
                "duration of a view; null where the source names none",
                nullable=True,
                unit="seconds",
            ),
        ),
        key=("id",),
        time="timestamp",
        money={},
        rules=RulesOf(MoviesValidateParams, judge_interactions),
    ),
    Source(
        name="movies",
        query="SELECT movie_id, title, year, genres FROM movies",
        tables={"movies": ("movie_id", "title", "year", "genres")},
        columns=(
            Column("movie_id", pa.string(), "id of the movie"),
            Column("title", pa.string(), "title, without the year"),
            Column("year", pa.int64(), "year of release, where known", nullable=True),
            Column("genres", pa.string(), "genres joined by `|`, where known", nullable=True),
        ),
        key=("movie_id",),
        time=None,
        money={},
        rules=RulesOf(MoviesValidateParams, judge_movies),
    ),
)
