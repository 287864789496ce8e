"""The algorithms that score every movie of the catalogue for a block of users."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from jobs.movies import content, ease, popular, walk
from jobs.movies.catalogue import Catalogue
from jobs.movies.content import Content
from jobs.movies.interactions import Interactions, kept_items
from jobs.movies.params import TrainParams

SOURCES = ("collaborative", "content", "popular")  # of candidates, each an algorithm of its own


@dataclass(frozen=True, eq=False)
class Scorers:
    """`kept`: places of the movies that `weights` and `walk` know; `popularity`: popular.SPEEDS by movies;
    `age`: days from a movie's first interaction to the last of all; `prior`: weight of popularity in collaborative.
    """

    catalogue: Catalogue
    kept: np.ndarray
    weights: np.ndarray
    walk: sp.csr_array
    popularity: np.ndarray
    age: np.ndarray
    prior: float = 0.0

    @cached_property
    def content(self) -> Content:
        return content.fit(self.catalogue)

    def scores(self, history: sp.csr_array, favourites: np.ndarray) -> dict[str, np.ndarray]:
        """SOURCES and `walk` to users by movies, float32; movies seen are -inf.

        A user of whom an algorithm knows nothing gets the scores of `popular`.
        """
        known = history[:, self.kept]
        popularity = popular.scores(self.popularity[0], self.catalogue, favourites)
        collaborative = self._spread(np.asarray(known @ self.weights)) + self.prior * self.popularity[0]
        similar = self.content.scores(history)
        strange, unlike = np.diff(known.indptr) == 0, ~similar.any(axis=1)
        collaborative[strange], similar[unlike] = popularity[strange], popularity[unlike]
        found = {
            "collaborative": collaborative, "content": similar, "popular": popularity,
            "walk": self._spread((known @ self.walk).toarray()),
        }  # fmt: skip
        users, movies = history.nonzero()
        for values in found.values():
            values[users, movies] = -np.inf
        return found

    def _spread(self, values: np.ndarray) -> np.ndarray:
        """Over the whole catalogue; movies that are not kept come after those that are."""
        low = values.min(axis=1, keepdims=True) - 1e-3
        found = np.repeat(low, len(self.catalogue), axis=1)
        found[:, self.kept] = values
        return found


def fit(interactions: Interactions, catalogue: Catalogue, params: TrainParams) -> Scorers:
    """Fitted on all of `interactions`; DataError when too few or too many movies have enough of them."""
    kept = kept_items(interactions.strengths, params.min_interactions)
    matrix = interactions.strengths[:, kept]
    first = np.full(len(catalogue), np.inf)
    np.minimum.at(first, interactions.strengths.indices, interactions.days)
    return Scorers(
        catalogue,
        kept,
        ease.fit(matrix, params.ease_regularisation, params.ease_max_items),
        walk.fit(matrix, params.walk_beta, params.walk_neighbours),
        popular.fit(interactions, params.half_life_days),
        (interactions.days.max() - np.minimum(first, interactions.days.max())).astype(np.float32),
    )
