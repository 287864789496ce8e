"""The operational tables of movies."""

from __future__ import annotations

from jobs.source.schema import OperationalColumn, OperationalTable

NO_GENRES = "users have no favourite genre, and movies are compared by their titles alone"

USER_INTERACTIONS = OperationalTable(
    "user_interactions",
    (
        OperationalColumn("id", "id", required=True, meaning="id of the interaction"),
        OperationalColumn("user_id", "id", required=True, meaning="id of the user"),
        OperationalColumn("movie_id", "id", required=True, meaning="id of the movie"),
        OperationalColumn("interaction_type", required=True, meaning="`rating`, `view` or `like`"),
        OperationalColumn(
            "value",
            "number",
            cost="validate quarantines ratings without it",
            meaning="rating; null for other interactions",
        ),
        OperationalColumn("timestamp", "time", required=True, meaning="time of the interaction"),
        OperationalColumn(
            "metadata",
            "json",
            cost="the watch time of views is unknown",
            meaning="of a view: `watch_time_s`, its duration in seconds",
        ),
    ),
    time="timestamp",
)

MOVIES = OperationalTable(
    "movies",
    (
        OperationalColumn("movie_id", "id", required=True, meaning="id of the movie"),
        OperationalColumn("title", required=True, meaning="title, without the year"),
        OperationalColumn(
            "year",
            "integer",
            cost="movies are not compared by decade",
            meaning="year of release, where known",
        ),
        OperationalColumn("genres", cost=NO_GENRES, meaning="genres joined by `|`, where known"),
    ),
)

TABLES = (USER_INTERACTIONS, MOVIES)
