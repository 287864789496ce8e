"""From rows of interactions to a sparse matrix of users by movies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import scipy.sparse as sp

from jobs.core.errors import DataError
from jobs.usecases.movies.catalogue import Catalogue
from jobs.usecases.movies.params import MoviesTrainParams

MICROSECONDS_A_DAY = 86_400_000_000
LEAST = 0.1  # strength of the worst rating: the movie was seen, which is more than nothing


@dataclass(frozen=True, eq=False)
class Interactions:
    """Who interacted with what, how strongly, and when.

    strengths  users (sorted) by movies of the catalogue, in (0, 1]
    days       the time of each of `strengths.data`
    """

    users: np.ndarray
    strengths: sp.csr_array
    days: np.ndarray
    unknown: int  # rows whose movie the catalogue lacks; they are left out

    def of(self, users: np.ndarray) -> sp.csr_array:
        """The rows of these users, empty for those who are not here."""
        places = pd.Index(self.users).get_indexer(users)
        known = np.flatnonzero(places >= 0)
        chosen = sp.csr_array(
            (np.ones(len(known), np.float32), (known, places[known])),
            shape=(len(users), len(self.users)),
        )
        found = sp.csr_array(chosen @ self.strengths)
        found.sort_indices()
        return found


def deduplicate(table: pa.Table) -> tuple[pa.Table, int]:
    """The last interaction of each user with each movie, and how many others there were.

    Rows of one instant are in the order of `id` if the table has it, else in their own order. The
    result is in the order of (user_id, movie_id), whatever the order of the table.
    """
    columns = ["user_id", "movie_id", "event_time", *(["id"] if "id" in table.column_names else [])]
    frame = table.select(columns).to_pandas().sort_values(columns, kind="stable")
    kept = frame.drop_duplicates(["user_id", "movie_id"], keep="last").index.to_numpy()
    return table.take(pa.array(kept)), table.num_rows - len(kept)


def counts(table: pa.Table, users: np.ndarray) -> np.ndarray:
    """How many movies each of `users` did something with."""
    rows, _ = deduplicate(table)
    found = rows.select(["user_id"]).to_pandas()["user_id"].value_counts()
    return np.asarray(found.reindex(users, fill_value=0))


def unseen(late: pa.Table, early: pa.Table) -> pa.Table:
    """The last interaction of each pair of user and movie in `late` that is not in `early`."""
    late, _ = deduplicate(late)
    pairs = (
        pd.MultiIndex.from_frame(each.select(["user_id", "movie_id"]).to_pandas())
        for each in (late, early)
    )
    new, known = pairs
    return late.filter(pa.array(~new.isin(known)))


def strengths(table: pa.Table, params: MoviesTrainParams) -> np.ndarray:
    """How much the user likes the movie, by row: the root of a rating, scaled to (0, 1]."""
    kinds = table["interaction_type"].to_numpy()
    values = table["value"].to_numpy().astype(np.float64)
    rated = np.sqrt(np.clip(values / params.rating_scale, LEAST**2, 1))
    fixed = np.where(kinds == "like", params.like_strength, params.view_strength)
    found: np.ndarray = np.where((kinds == "rating") & ~np.isnan(values), rated, fixed)
    return found.astype(np.float32)


def read(table: pa.Table, catalogue: Catalogue, params: MoviesTrainParams) -> Interactions:
    """The matrix of a table; of several interactions of a user with a movie the last one counts."""
    table, _ = deduplicate(table)
    items = catalogue.places(table["movie_id"])
    known = items >= 0
    users, rows = np.unique(table["user_id"].to_numpy()[known], return_inverse=True)
    ends = np.searchsorted(rows, np.arange(len(users) + 1))
    matrix = sp.csr_array(
        (strengths(table, params)[known], items[known].astype(np.int32), ends),
        shape=(len(users), len(catalogue)),
    )
    days = times(table)[known] / MICROSECONDS_A_DAY
    return Interactions(users, matrix, days, int((~known).sum()))


def kept_items(matrix: sp.csr_array, least: int) -> np.ndarray:
    """The movies with at least `least` users; DataError if fewer than two have so many."""
    counts = np.bincount(matrix.indices, minlength=matrix.shape[1])
    kept = np.flatnonzero(counts >= least)
    if len(kept) < 2:
        raise DataError(
            f"{len(kept)} of {int((counts > 0).sum())} movies have {least} users or more: "
            "nothing to compare",
            remedy="lengthen snapshot.train_days, or lower train.min_interactions",
        )
    return kept


def times(table: pa.Table) -> np.ndarray:
    """Microseconds since 1970."""
    stamps = table["event_time"].cast(pa.timestamp("us", "UTC")).cast(pa.int64())
    return np.asarray(stamps.to_numpy())
