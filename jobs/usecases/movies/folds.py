"""Rows, and what was known before them: on these the choices of training are judged."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from jobs.usecases.movies import interactions, metrics, ranking, scorers
from jobs.usecases.movies.catalogue import Catalogue
from jobs.usecases.movies.interactions import Interactions
from jobs.usecases.movies.params import MoviesTrainParams
from jobs.usecases.movies.scorers import Scorers
from jobs.usecases.movies.split import split

Targets = tuple[np.ndarray, np.ndarray]  # places of users, and of the movies that they took
K = 10


@dataclass(frozen=True, eq=False)
class Fold:
    """What was known, fitted with the first half-life and no prior, and the rows after it."""

    known: Interactions
    scorers: Scorers
    after: pa.Table

    @cached_property
    def taken(self) -> tuple[np.ndarray, np.ndarray]:
        """(user, place of the movie) of the rows after, but for movies that the catalogue lacks."""
        movies = self.scorers.catalogue.places(self.after["movie_id"])
        return self.after["user_id"].to_numpy()[movies >= 0], movies[movies >= 0]

    def everybody(self) -> tuple[sp.csr_array, Targets]:
        """Histories of all users who took something, empty for the new, and what each took."""
        names, movies = self.taken
        users, rows = np.unique(names, return_inverse=True)
        return self.known.of(users), (rows, movies)

    def sample(self, count: int, seed: int) -> tuple[sp.csr_array, Targets]:
        """The same of `count` users with a history at most, drawn by the seed."""
        names, movies = self.taken
        users = np.intersect1d(names, self.known.users)
        users = np.sort(np.random.default_rng(seed).permutation(users)[:count])
        wanted = np.isin(names, users)
        return self.known.of(users), (np.searchsorted(users, names[wanted]), movies[wanted])


def make(table: pa.Table, catalogue: Catalogue, params: MoviesTrainParams) -> list[Fold]:
    """Two folds, the earlier first; DataError where the rows are too few."""
    early, late = split(table, params.validation, 1 - params.validation_share, params.seed)
    first, middle = split(early, params.validation, 1 - params.validation_share, params.seed)
    return [
        _fold(before, after, catalogue, params)
        for before, after in ((first, middle), (early, late))
    ]


def ndcg(places: np.ndarray, targets: Targets, movies: int) -> float:
    """The mean over users of nDCG@K of the lists `places` (users by places)."""
    hits = ranking.contains(targets, places, movies)
    return float(metrics.ndcg(hits, np.bincount(targets[0], minlength=len(places)), K).mean())


def ndcg_of_popular(popularity: np.ndarray, history: sp.csr_array, targets: Targets) -> float:
    """nDCG@K of the most popular movies that a user (a row of `history`) has not seen."""
    # No list of a user is longer than this, so the rest of the catalogue needs no rank.
    depth = K + int(np.diff(history.indptr).max(initial=0))
    order = ranking.top(popularity[None, :], depth)[0]
    seen = history[:, order].toarray() > 0
    places = order[np.argsort(seen, axis=1, kind="stable")[:, :K]]
    return ndcg(places, targets, history.shape[1])


def ndcg_of_collaborative(
    fitted: Scorers, history: sp.csr_array, targets: Targets, threads: int
) -> float:
    def work(block: slice) -> np.ndarray:
        return ranking.top(fitted.collaborative(history[block]), K)

    places = list(ranking.by_blocks(work, history.shape[0], history.shape[1], threads))
    return ndcg(np.concatenate(places), targets, history.shape[1])


def _fold(
    before: pa.Table, after: pa.Table, catalogue: Catalogue, params: MoviesTrainParams
) -> Fold:
    known = interactions.read(before, catalogue, params)
    return Fold(known, scorers.fit(known, catalogue, params, params.half_lives_days[0]), after)
