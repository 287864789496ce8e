"""Why a movie is recommended: the movie seen that speaks for it most."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp

from jobs.usecases.movies.scorers import Scorers

PAIRS = 200_000  # at a time: bounds memory for users who have seen thousands
Similarity = Callable[[np.ndarray, np.ndarray], np.ndarray]


def reasons(
    algorithm: str,
    scorers: Scorers,
    history: sp.csr_array,
    places: np.ndarray,
    favourites: np.ndarray,
) -> np.ndarray:
    """Users by places, texts; places of -1 get one that means nothing."""
    titles = np.asarray(scorers.catalogue.titles, object)
    found = _popular(scorers, places, favourites)
    for similarity in _similarities(algorithm, scorers):
        best, gain = strongest(history, places, similarity)
        open_ = (gain > 0) & (found == "popular")
        found[open_] = "because you rated " + titles[best[open_]]
    return found


def strongest(
    history: sp.csr_array, places: np.ndarray, similarity: Similarity
) -> tuple[np.ndarray, np.ndarray]:
    """For each place: the seen movie with the largest strength times similarity, and that product.

    Ties take the first movie; 0 for users without history.
    """
    width, counts = places.shape[1], np.repeat(np.diff(history.indptr), places.shape[1])
    best, gain = np.zeros(places.size, np.int64), np.zeros(places.size, np.float32)
    slots = np.repeat(np.arange(places.size), counts)
    if not len(slots):
        return best.reshape(places.shape), gain.reshape(places.shape)
    begins = np.cumsum(counts) - counts
    at = np.arange(len(slots)) - begins[slots] + history.indptr[slots // width]
    seen, shown = history.indices[at], np.maximum(places.ravel()[slots], 0)
    parts = [slice(start, start + PAIRS) for start in range(0, len(slots), PAIRS)]
    gains = (
        np.concatenate([similarity(seen[part], shown[part]) for part in parts]) * history.data[at]
    )
    filled = counts > 0
    gain[filled] = np.maximum.reduceat(gains, begins[filled])
    winners = np.flatnonzero(gains == gain[slots])
    first = winners[np.unique(slots[winners], return_index=True)[1]]
    best[slots[first]] = seen[first]
    return best.reshape(places.shape), gain.reshape(places.shape)


def _similarities(algorithm: str, scorers: Scorers) -> list[Similarity]:
    """What may be the reason, the first that has one counts."""
    place = np.full(len(scorers.catalogue), -1)
    place[scorers.kept] = np.arange(len(scorers.kept))

    def weight(seen: np.ndarray, shown: np.ndarray) -> np.ndarray:
        known = (place[seen] >= 0) & (place[shown] >= 0)
        return np.where(known, scorers.weights[place[seen], place[shown]], 0)

    found: dict[str, list[Similarity]] = {
        "hybrid": [weight, scorers.content.pairs],
        "collaborative": [weight],
        "content": [scorers.content.pairs],
        "popular": [],
    }
    return found[algorithm]


def _popular(scorers: Scorers, places: np.ndarray, favourites: np.ndarray) -> np.ndarray:
    """ "popular", or "popular in <genre>" where the movie has the user's favourite genre."""
    found = np.full(places.shape, "popular", object)
    columns = {name: column for column, name in enumerate(scorers.catalogue.genre_names)}
    chosen = np.array([columns.get(name, -1) for name in favourites])
    rows = np.flatnonzero(chosen >= 0)
    if len(rows):
        has = (
            scorers.catalogue.genre_matrix.toarray()[
                np.maximum(places[rows], 0), chosen[rows][:, None]
            ]
            > 0
        )
        texts = np.array([f"popular in {name}" for name in favourites[rows]], object)
        found[rows] = np.where(has, texts[:, None], "popular")
    return found
