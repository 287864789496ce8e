"""Movie features by Spark, point in time.

What users did up to the end of D, and which of it is kept for judging.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING

from jobs.core.identity import before
from jobs.core.tables import Days, Frames
from jobs.usecases.movies.params import MoviesPredictParams, MoviesSnapshotParams

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

KEY = ("id",)
EXAMPLES = "user_interactions"
LABEL = "relevant"
UNKNOWN = "unknown"  # the genre of a movie that has none, or that the catalogue lacks


def aggregate(rows: Frames) -> Mapping[str, DataFrame]:
    """user_preferences_daily and movie_daily of the days in `rows`."""
    from pyspark.sql import functions as F

    known = rows["movies"].select("movie_id", "genres")
    table = rows["user_interactions"].withColumn("date", F.to_date("event_time"))
    by_genre = table.join(known, "movie_id", "left").withColumn("genre", F.explode(_genres()))
    return {
        "user_preferences_daily": by_genre.groupBy("date", "user_id", "genre").agg(
            F.count("*").alias("total_interactions"),
            _watch_time().alias("total_watch_time"),
            *_ratings(),
        ),
        "movie_daily": table.groupBy("date", "movie_id").agg(
            F.count("*").alias("interactions"),
            F.countDistinct("user_id").alias("users"),
            _watch_time().alias("watch_time"),
            *_ratings(),
        ),
    }


def training_days(day: date, params: MoviesSnapshotParams) -> Days:
    """The interactions of the training and holdout days up to D; the catalogue of D."""
    return {
        "user_interactions": before(
            day + timedelta(days=1), params.train_days + params.holdout_days
        ),
        "movies": [day],
    }


def training_set(frames: Frames, day: date, params: MoviesSnapshotParams) -> DataFrame:
    """One row per interaction: `split`, and what the catalogue knows about its movie.

    All are examples of what users take.
    """
    from pyspark.sql import functions as F

    first = day - timedelta(days=params.holdout_days - 1)
    rows = with_movies(frames)
    return rows.withColumns(
        {
            "split": F.when(F.col("date") >= F.lit(first), "holdout").otherwise("train"),
            LABEL: F.lit(True),
        }
    )


def scoring_days(day: date, params: MoviesPredictParams) -> Days:
    """The interactions and preferences of the window that ends with D; the catalogue of D."""
    window = before(day + timedelta(days=1), params.history_days)
    return {"user_interactions": window, "movies": [day], "user_preferences_daily": window}


def scoring_set(frames: Frames, day: date, params: MoviesPredictParams) -> DataFrame:
    """One row per interaction of the window: what the users have seen."""
    return with_movies(frames)


def with_movies(frames: Frames) -> DataFrame:
    """The interactions with title, year and genres; null if the catalogue lacks the movie."""
    from pyspark.sql import functions as F

    return (
        frames["user_interactions"]
        .withColumn("date", F.to_date("event_time"))
        .join(frames["movies"].select("movie_id", "title", "year", "genres"), "movie_id", "left")
    )


def _genres() -> Column:
    """The names in `genres`, each once; UNKNOWN if there is none."""
    from pyspark.sql import functions as F

    names = F.array_remove(F.array_distinct(F.split(F.trim("genres"), r"\|")), "")
    return F.when(F.size(names) > 0, names).otherwise(F.array(F.lit(UNKNOWN)))


def _ratings() -> tuple[Column, Column]:
    """Number and mean of ratings; summed as decimals, which is exact in any order."""
    from pyspark.sql import functions as F

    rating = F.when(F.col("interaction_type") == "rating", F.col("value").cast("decimal(18,6)"))
    mean = F.sum(rating).cast("double") / F.count(rating)
    return F.count(rating).alias("ratings"), mean.alias("avg_rating")


def _watch_time() -> Column:
    from pyspark.sql import functions as F

    return F.coalesce(F.sum("watch_time_s"), F.lit(0))
