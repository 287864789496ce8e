"""The algorithms that score every movie of the catalogue for a block of users."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from jobs.training import device
from jobs.usecases.movies import content, ease, popular, walk
from jobs.usecases.movies.catalogue import Catalogue
from jobs.usecases.movies.content import Content
from jobs.usecases.movies.interactions import Interactions, kept_items
from jobs.usecases.movies.params import GPU_LIBRARIES, MoviesTrainParams

# Share of popularity in every score: it ranks movies about which nothing else is known.
TIE = 1e-6
SOURCES = ("collaborative", "content", "popular")  # of candidates, each an algorithm of its own


@dataclass(frozen=True, eq=False)
class Scorers:
    """What the algorithms know.

    kept        places of the movies in `weights` and `walk`
    popularity  popular.SPEEDS by movies
    age         days from a movie's first interaction to the last of all
    half_life   of popularity, in days
    prior       weight of popularity in collaborative
    """

    catalogue: Catalogue
    kept: np.ndarray
    weights: np.ndarray
    walk: sp.csr_array
    popularity: np.ndarray
    age: np.ndarray
    half_life: float
    prior: float = 0.0

    @cached_property
    def content(self) -> Content:
        return content.fit(self.catalogue)

    def scores(self, history: sp.csr_array, favourites: np.ndarray) -> dict[str, np.ndarray]:
        """Scores of SOURCES, `walk` and `fresh` (popularity of the last days).

        Each is users by movies, float32, with -inf for seen movies. A user without history in an
        algorithm gets the scores of `popular`.
        """
        popularity = popular.scores(self.popularity[0], self.catalogue, favourites)
        similar = self.content.scores(history)
        unlike = ~similar.any(axis=1)
        similar += np.float32(TIE) * self.popularity[0]
        similar[unlike] = popularity[unlike]
        found = {
            "collaborative": self.collaborative(history, popularity),
            "content": similar,
            "popular": popularity,
            "walk": self._spread((history[:, self.kept] @ self.walk).toarray()),
            "fresh": np.tile(self.popularity[1], (history.shape[0], 1)),
        }
        users, movies = history.nonzero()
        for values in found.values():
            values[users, movies] = -np.inf
        return found

    def collaborative(
        self, history: sp.csr_array, otherwise: np.ndarray | None = None
    ) -> np.ndarray:
        """Users by movies: the weights of what a user saw, plus the prior.

        Users without a kept movie get `otherwise`, by default popularity. Seen movies have -inf.
        """
        known = history[:, self.kept]
        found = (
            self._spread(np.asarray(known @ self.weights))
            + np.float32(self.prior or TIE) * self.popularity[0]
        )
        strange = np.diff(known.indptr) == 0
        found[strange] = self.popularity[0] if otherwise is None else otherwise[strange]
        found[history.nonzero()] = -np.inf
        return np.asarray(found, np.float32)

    def _spread(self, values: np.ndarray) -> np.ndarray:
        """Over the whole catalogue; movies that are not kept are below those that are."""
        if len(self.kept) == len(self.catalogue):
            return values
        low = values.min(axis=1, keepdims=True) - 1e-3
        found = np.repeat(low, len(self.catalogue), axis=1)
        found[:, self.kept] = values
        return found


def fit(
    interactions: Interactions,
    catalogue: Catalogue,
    params: MoviesTrainParams,
    half_life: float,
    prior: float = 0.0,
) -> Scorers:
    """Fitted on all `interactions`; DataError if too few or too many movies have enough of them."""
    kept = kept_items(interactions.strengths, params.min_interactions)
    matrix = interactions.strengths[:, kept]
    return Scorers(
        catalogue,
        kept,
        ease.fit(
            matrix,
            params.ease_regularisation,
            params.ease_max_items,
            ease.INVERSE[device.resolve(params.device, *GPU_LIBRARIES)],
        ),
        walk.fit(matrix, params.walk_beta, params.walk_neighbours),
        popular.fit(interactions, half_life),
        _age(interactions),
        half_life,
        prior,
    )


def of_today(fitted: Scorers, interactions: Interactions) -> Scorers:
    """With the popularity and the ages that `interactions` have."""
    popularity = popular.fit(interactions, fitted.half_life)
    return replace(fitted, popularity=popularity, age=_age(interactions))


def _age(interactions: Interactions) -> np.ndarray:
    """Days from each movie's first interaction to the last of all; 0 for a movie without one."""
    now, first = interactions.days.max(), np.full(interactions.strengths.shape[1], np.inf)
    np.minimum.at(first, interactions.strengths.indices, interactions.days)
    return np.asarray(now - np.minimum(first, now), np.float32)
