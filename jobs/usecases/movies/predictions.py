"""What movies publishes: recommendations by every algorithm, and the features of every user."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from jobs.usecases.contract import LookBack
from jobs.usecases.movies import recommend
from jobs.usecases.movies.features import UNKNOWN
from jobs.usecases.movies.model import MoviesModel, refreshed, score
from jobs.usecases.movies.params import MoviesPredictParams
from jobs.usecases.movies.tables import PREDICTIONS

PAST = None
SEEN = ("user_preferences_daily",)
COMPARED = "user_features"

_RECOMMENDATIONS, _USER_FEATURES = PREDICTIONS


def look_back(params: MoviesPredictParams) -> LookBack:
    """No earlier prediction is read."""
    return LookBack(0, 0)


def build(
    model: MoviesModel,
    events: pa.Table,
    past: pa.Table | None,
    seen: Mapping[str, pa.Table],
    day: date,
    params: MoviesPredictParams,
) -> dict[str, pa.Table]:
    """The rows of every table of PREDICTIONS; `events` are the interactions of the window."""
    features = user_features(events, seen["user_preferences_daily"], day)
    users, favourites = (
        features[name].to_pandas().fillna("").to_numpy(object)
        for name in ("user_id", "favourite_genre")
    )
    empty = recommend.SCHEMA.empty_table()
    lists = pa.concat_tables([empty, *score(refreshed(model, events), events, users, favourites)])
    dates = pa.array([day] * lists.num_rows, pa.date32())
    recommendations = lists.append_column("date", dates).select(_RECOMMENDATIONS.schema.names)
    return {
        _RECOMMENDATIONS.name: recommendations.cast(_RECOMMENDATIONS.schema),
        _USER_FEATURES.name: features,
    }


def disagreement(
    model: Callable[[], MoviesModel], examples: pa.Table, predicted: pa.Table
) -> tuple[int, int]:
    """(users in either, how many have other features in `examples` than in `predicted`)."""
    empty = pa.table({name: pa.array([], pa.string()) for name in ("user_id", "genre")})
    none = empty.append_column("total_interactions", pa.array([], pa.int64()))
    columns = ["total_interactions", "avg_rating", "total_watch_time"]
    ours, theirs = (
        table.to_pandas().set_index("user_id")[columns]
        for table in (user_features(examples, none, predicted["date"][0].as_py()), predicted)
    )
    ours, theirs = ours.align(theirs)
    return len(ours), int((~np.isclose(ours, theirs, equal_nan=True)).any(axis=1).sum())


def user_features(events: pa.Table, preferences: pa.Table, day: date) -> pa.Table:
    """One row per user of `events`: means and sums, and the known genre of most interactions.

    Ties break by the name of the genre.
    """
    rows = events.to_pandas().sort_values(["user_id", "event_time", "id"])
    rated = rows[rows["interaction_type"] == "rating"].groupby("user_id")["value"].mean()
    genres = preferences.filter(pc.field("genre") != UNKNOWN).to_pandas()
    genres = genres.groupby(["user_id", "genre"], as_index=False)["total_interactions"].sum()
    genres = genres.sort_values(
        ["user_id", "total_interactions", "genre"], ascending=[True, False, True]
    )
    found = rows.groupby("user_id").agg(
        total_interactions=("id", "size"), total_watch_time=("watch_time_s", "sum")
    )
    found = found.assign(
        date=day,
        avg_rating=rated,
        favourite_genre=genres.drop_duplicates("user_id").set_index("user_id")["genre"],
    )
    found["total_watch_time"] = found["total_watch_time"].astype("int64")
    columns = pd.DataFrame(found.reset_index()[_USER_FEATURES.schema.names])
    return pa.Table.from_pandas(columns, schema=_USER_FEATURES.schema, preserve_index=False)
