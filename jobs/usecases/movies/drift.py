"""The columns of an interaction that are watched for drift.

There is no label to wait for: whatever a user takes is relevant, so its share cannot move. What
users take is watched as features, and how well a model foresees it as decay.
"""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from jobs.evaluation.sampling import sample
from jobs.evaluation.watched import Watched
from jobs.usecases.movies.evaluation import SLICES
from jobs.usecases.movies.features import KEY, UNKNOWN
from jobs.usecases.movies.interactions import times
from jobs.usecases.movies.model import MoviesModel, refreshed, score
from jobs.usecases.movies.recommend import SCHEMA

FEATURES = (
    Watched("interaction_type", "category", 0.2, "fail"),
    Watched("value", "number", 0.25, "fail"),
    Watched("genre", "category", 0.18, "fail"),
    Watched("year", "number", 0.5),
    Watched("hour", "number", 0.5),
    # Against the holdout: on the first days of training nobody has done anything yet.
    Watched("activity", "category", 0.25, against="holdout"),
)
# They need what users had seen by the morning of the day; the samples of a window lack that.
PREDICTIONS = (
    Watched("recommended_genre", "category", 0.3, scopes=("day",), against="holdout"),
    Watched("recommended_score", "number", 0.5, scopes=("day",), against="holdout"),
)
LABEL = None

USERS = 500  # at most, whose recommendations are watched
ACTIVITY_DAYS = 30
_COLUMNS = (*KEY, "date", "user_id", "event_time", "interaction_type", "value", "year")


def examples(events: pa.Table, since: date) -> pa.Table:
    """The interactions from `since` on as examples.

    An example has type, rating, year of release, hour, one genre of the movie, and the user's
    activity in the ACTIVITY_DAYS before. The id draws the genre, so that all have their share.
    """
    late = pc.greater_equal(events["date"], pa.scalar(since, pa.date32()))
    rows = events.filter(late)
    chosen = rows.select([name for name in _COLUMNS if name in rows.column_names])
    if "genres" in rows.column_names:
        chosen = chosen.append_column("genre", genres(rows))
    active = activity(events).filter(late)
    return chosen.append_column("hour", pc.hour(rows["event_time"])).append_column(
        "activity", active
    )


def predictions(model: MoviesModel, examples: pa.Table, events: pa.Table) -> pa.Table:
    """The examples with genre and score of the first recommendation to some of their users.

    Each recommendation is on one row. The model knows what happened before the first day of the
    examples, and recommends to users of that time: new users get the popular movies, and
    `activity` says how many they are.
    """
    first = pc.min(examples["date"]).as_py()
    history = events.filter(pc.less(events["date"], pa.scalar(first, pa.date32())))
    recommended = pd.DataFrame(
        columns=["user_id", "recommended_genre", "recommended_score"], dtype=object
    )
    if history.num_rows:
        there = sorted({*examples["user_id"].to_pylist()} & {*history["user_id"].to_pylist()})
        users = sample(pa.table({"user_id": pa.array(there, pa.string())}), ["user_id"], USERS)
        recommended = _first(model, history, users["user_id"].to_numpy().astype(object))
    return _beside(examples, recommended)


def genres(rows: pa.Table) -> pa.Array:
    """One genre per row, drawn by the hash of its id; UNKNOWN if there is none."""
    text = pc.fill_null(rows["genres"].combine_chunks().cast(pa.string()), "")
    names = pc.split_pattern(text, "|")
    counts = np.asarray(pc.list_value_length(names)).astype(np.uint64)
    hashes = pd.util.hash_array(rows["id"].to_numpy().astype(object))
    place = np.asarray(names.offsets)[:-1] + (hashes % np.maximum(counts, 1)).astype(np.int64)
    drawn = names.values.take(pa.array(place))
    return pc.if_else(pc.equal(drawn, ""), UNKNOWN, drawn)


def activity(events: pa.Table) -> pa.Array:
    """How many interactions the user of each row had in the ACTIVITY_DAYS before it.

    Named as in evaluation.SLICES.
    """
    users, _ = pd.factorize(events["user_id"].to_numpy().astype(object))
    seconds = times(events) // 1_000_000
    span = np.int64(2) ** 36  # seconds: a block of time for each user, apart from that of the next
    moment = users.astype(np.int64) * span + seconds
    ordered = np.sort(moment)
    # No time is so early that what came before it would be another user's.
    since = np.searchsorted(ordered, moment - ACTIVITY_DAYS * 86_400)
    before = np.searchsorted(ordered, moment) - since
    names, least = list(SLICES), [low for low, _ in SLICES.values()]
    return pa.array(np.array(names)[np.searchsorted(least, before, "right") - 1], pa.string())


def _first(model: MoviesModel, history: pa.Table, users: np.ndarray) -> pd.DataFrame:
    lists = pa.concat_tables(
        [SCHEMA.empty_table(), *score(refreshed(model, history), history, users)]
    )
    best = lists.filter(pc.and_(pc.equal(lists["algorithm"], "hybrid"), pc.equal(lists["rank"], 1)))
    catalogue = model.scorers.catalogue
    theirs = catalogue.genres[catalogue.places(best["movie_id"])]
    named = genres(pa.table({"id": best["user_id"], "genres": pa.array(theirs, pa.string())}))
    return pd.DataFrame(
        {
            "user_id": best["user_id"].to_pandas(),
            "recommended_genre": named.to_pandas(),
            "recommended_score": best["score"].to_pandas(),
        }
    )


def _beside(examples: pa.Table, recommended: pd.DataFrame) -> pa.Table:
    """The predictions on the first row of each user, so that active users count once."""
    users = examples.select(["user_id"]).to_pandas()
    joined = users.merge(recommended, "left", "user_id")
    joined.loc[users["user_id"].duplicated(), ["recommended_genre", "recommended_score"]] = None
    return examples.append_column(
        "recommended_genre", pa.array(joined["recommended_genre"], pa.string(), from_pandas=True)
    ).append_column(
        "recommended_score", pa.array(joined["recommended_score"], pa.float64(), from_pandas=True)
    )
