"""What movies extracts from the operational database, and what makes a row good."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa

from jobs.core.rules import first_of, garbled
from jobs.core.tables import Source
from jobs.usecases.movies.params import MoviesValidateParams
from jobs.usecases.typed import RulesOf

if TYPE_CHECKING:
    import pandas as pd

KINDS = ("rating", "view", "like")
YEARS = (
    1870,
    2100,
)  # of release; not by the day, since the table that a past day gets is that of today


def judge_interactions(rows: pd.DataFrame, day: date, params: MoviesValidateParams) -> pd.Series:
    """One reason a row, null where the row is good. A movie that the catalogue lacks is no fault of its rating."""
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
    """One reason a row, null where the row is good; a movie may lack its year and its genres."""
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
        schema=pa.schema(
            {
                "id": pa.string(),
                "user_id": pa.string(),
                "movie_id": pa.string(),
                "interaction_type": pa.string(),
                "value": pa.float64(),
                "event_time": pa.timestamp("us", "UTC"),
                "watch_time_s": pa.int64(),
            }
        ),
        key=("id",),
        time="timestamp",
        required=("id", "user_id", "movie_id", "interaction_type", "event_time"),
        money={},
        rules=RulesOf(MoviesValidateParams, judge_interactions),
    ),
    Source(
        name="movies",
        query="SELECT movie_id, title, year, genres FROM movies",
        tables={"movies": ("movie_id", "title", "year", "genres")},
        schema=pa.schema(
            {
                "movie_id": pa.string(),
                "title": pa.string(),
                "year": pa.int64(),
                "genres": pa.string(),
            }
        ),
        key=("movie_id",),
        time=None,
        required=("movie_id", "title"),
        money={},
        rules=RulesOf(MoviesValidateParams, judge_movies),
    ),
)
