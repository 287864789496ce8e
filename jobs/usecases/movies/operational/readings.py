"""Convert ratings and movies to rows of the operational tables."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from jobs.core.errors import ConfigError
from jobs.source.converted import as_text
from jobs.source.request import Reading, Remark
from jobs.source.schema import OperationalColumn, Range
from jobs.usecases.movies.operational.movielens import MOVIES as MOVIE_LINES
from jobs.usecases.movies.operational.movielens import RATINGS, Opener
from jobs.usecases.movies.operational.tables import NO_GENRES, USER_INTERACTIONS

SCALE = (0.0, 10.0)
SINCE = datetime(1990, 1, 1, tzinfo=UTC)
"""Ratings are not older than the web."""

_NO_GENRE = "(no genres listed)"
_DATED = r"^(?P<title>.*\S)\s*\((?P<year>\d{4})(?:[-–]\s*(?:\d{4})?)?\)(?:\s*\(T?V\))?$"

_PAIRS_AGAIN = """
SELECT count(*) FROM (
    SELECT FROM user_interactions
    JOIN (SELECT DISTINCT user_id, movie_id FROM stage) pair USING (user_id, movie_id)
    WHERE interaction_type = 'rating' GROUP BY user_id, movie_id HAVING count(*) > 1
) again"""
_UNKNOWN_MOVIES = (
    "SELECT count(*) FROM stage"
    " WHERE NOT EXISTS (SELECT FROM movies WHERE movies.movie_id = stage.movie_id)"
)
_OF_UNKNOWN_MOVIES = Remark(
    "rows are of a movie that the table movies does not have", _UNKNOWN_MOVIES
)


def parse_scale(text: str) -> tuple[float, float]:
    """Parse `"0.5..5"` to (0.5, 5.0); ConfigError for anything else."""
    low, dots, high = text.partition("..")
    try:
        scale = float(low), float(high)
    except ValueError:
        scale = 1.0, 0.0
    if not dots or not scale[0] < scale[1]:
        raise ConfigError(
            f"--scale {text!r} is not a scale", remedy="use MIN..MAX, for example --scale 0.5..5"
        )
    return scale


def ratings(
    opener: Opener | None = None, scale: tuple[float, float] = SCALE, since: datetime = SINCE
) -> Reading:
    """Return the reading of ratings into user_interactions.

    A rating outside `scale`, before `since` or more than a day in the future is rejected. The id is
    `user:movie:seconds`, so that a rating loaded again is the same row.
    """
    low, high = scale
    until = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=2)
    times = Range(since, until, f"is not between {since:%Y-%m-%d} and {until:%Y-%m-%d}")
    value = Range(low, high, f"is outside the scale {low:g}..{high:g}")
    return Reading(
        columns=(
            OperationalColumn("user_id", "id", required=True, also=("userId", "user")),
            OperationalColumn(
                "movie_id", "id", required=True, also=("movieId", "item_id", "itemId")
            ),
            OperationalColumn("value", "number", required=True, also=("rating",), within=value),
            OperationalColumn("timestamp", "unix", required=True, within=times),
        ),
        derived=(OperationalColumn("id", "id"), OperationalColumn("interaction_type")),
        derive=_rated,
        open=opener or Opener(RATINGS),
        remarks=(
            Remark(
                "pairs of user and movie have several ratings: all are kept, the last one counts",
                _PAIRS_AGAIN,
            ),
            _OF_UNKNOWN_MOVIES,
        ),
    )


def interactions() -> Reading:
    """Return the reading of files with the columns of user_interactions."""
    return Reading(USER_INTERACTIONS.columns, remarks=(_OF_UNKNOWN_MOVIES,))


def movies(opener: Opener | None = None) -> Reading:
    """Return the reading of movies.

    Without a column year, it comes from the title `Title (1999)`.
    """
    title, year, genres = (
        OperationalColumn("title", required=True),
        OperationalColumn("year", "integer"),
        OperationalColumn("genres", cost=NO_GENRES),
    )
    return Reading(
        columns=(
            OperationalColumn(
                "movie_id", "id", required=True, also=("movieId", "item_id", "itemId")
            ),
            title,
            year,
            genres,
        ),
        derive=_filmed,
        open=opener or Opener(MOVIE_LINES),
        remarks=(
            Remark("movies have no genre", "SELECT count(*) FROM stage WHERE genres IS NULL"),
            Remark("movies have no year", "SELECT count(*) FROM stage WHERE year IS NULL"),
        ),
    )


def _rated(rows: pa.Table) -> pa.Table:
    seconds = pc.divide(rows["timestamp"].cast(pa.int64()).cast(pa.float64()), 1e6)
    ids = pc.binary_join_element_wise(rows["user_id"], rows["movie_id"], as_text(seconds), ":")
    kind = pa.repeat("rating", len(rows))
    return rows.append_column("id", ids).append_column("interaction_type", kind)


def _filmed(rows: pa.Table) -> pa.Table:
    if "genres" in rows.column_names:
        listed = pc.if_else(pc.equal(rows["genres"], _NO_GENRE), None, rows["genres"])
        rows = rows.drop_columns(["genres"]).append_column("genres", listed)
    if "year" in rows.column_names:
        return rows
    dated = pc.extract_regex(rows["title"], _DATED)
    title = pc.coalesce(pc.struct_field(dated, "title"), rows["title"])
    year = pc.struct_field(dated, "year")
    return rows.drop_columns(["title"]).append_column("title", title).append_column("year", year)
