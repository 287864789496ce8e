"""The movies that can be recommended, in one order."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import pyarrow as pa
import scipy.sparse as sp

COLUMNS = ["movie_id", "title", "year", "genres"]


@dataclass(frozen=True, eq=False)
class Catalogue:
    """Movies in the order of their ids.

    ids and titles as objects, years (NaN if unknown), genres (`A|B`, "" if unknown).
    """

    ids: np.ndarray
    titles: np.ndarray
    years: np.ndarray
    genres: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def genre_names(self) -> list[str]:
        return sorted({name for genres in self.genres for name in split_genres(genres)})

    @cached_property
    def genre_matrix(self) -> sp.csr_array:
        """Movies by genre_names, 1 where a movie has the genre."""
        place = {name: column for column, name in enumerate(self.genre_names)}
        found = [sorted({place[name] for name in split_genres(genres)}) for genres in self.genres]
        ends = np.cumsum([0, *map(len, found)])
        columns = np.array([column for row in found for column in row], dtype=np.int32)
        ones = np.ones(len(columns), np.float32)
        return sp.csr_array((ones, columns, ends), shape=(len(self), len(place)))

    def places(self, ids: pa.ChunkedArray) -> np.ndarray:
        """The place of each id, -1 where the catalogue lacks it."""
        return np.asarray(pd.Index(self.ids).get_indexer(ids.to_numpy()))


def read(*tables: pa.Table) -> Catalogue:
    """The movies of all tables (COLUMNS); the first row of a movie counts."""
    frame = pd.concat([table.select(COLUMNS).to_pandas() for table in tables if table.num_rows])
    movies = frame.drop_duplicates("movie_id").sort_values("movie_id")
    return Catalogue(
        movies["movie_id"].to_numpy(object),
        movies["title"].fillna("").to_numpy(object),
        movies["year"].to_numpy(np.float64),
        movies["genres"].fillna("").to_numpy(object),
    )


def split_genres(genres: str) -> list[str]:
    """The names in `A|B`, as features.aggregate has them."""
    return [name for name in genres.strip(" ").split("|") if name]
