"""How good lists of recommendations are, from the places that hit.

`hits` is users by places (bool, best place first), `relevant` how many movies each user could be
hit with. All functions but coverage and novelty return one value per user, 0 without a relevant
movie.
"""

from __future__ import annotations

import numpy as np


def ndcg(hits: np.ndarray, relevant: np.ndarray, k: int) -> np.ndarray:
    """Binary gains over log2(place + 1), relative to those of the ideal list.

    The ideal list begins with all relevant movies.
    """
    discounts = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.concatenate([[0.0], np.cumsum(discounts)])[np.minimum(relevant, k)]
    gained = _first(hits, k) @ discounts[: hits.shape[1]]
    return np.asarray(gained / np.where(ideal > 0, ideal, 1))


def average_precision(hits: np.ndarray, relevant: np.ndarray, k: int) -> np.ndarray:
    """Precision at each hit, summed, over min(relevant, k); its mean over users is MAP@k."""
    first = _first(hits, k)
    precision = np.cumsum(first, axis=1) / np.arange(1, first.shape[1] + 1)
    return np.asarray((precision * first).sum(axis=1) / np.maximum(np.minimum(relevant, k), 1))


def precision(hits: np.ndarray, relevant: np.ndarray, k: int) -> np.ndarray:
    """Hits among the first k, over k."""
    return np.asarray(_first(hits, k).sum(axis=1) / k)


def recall(hits: np.ndarray, relevant: np.ndarray, k: int) -> np.ndarray:
    """Hits among the first k, over what is relevant."""
    return np.asarray(_first(hits, k).sum(axis=1) / np.maximum(relevant, 1))


def coverage(places: np.ndarray, movies: int) -> float:
    """The share of the catalogue that is recommended to anyone; -1 is no movie."""
    return len(np.unique(places[places >= 0])) / movies if movies else 0.0


def novelty(places: np.ndarray, counts: np.ndarray, users: int) -> float:
    """Mean over recommendations of -log2 of the share of users who know the movie.

    At least one user counts as knowing it.
    """
    shown = places[places >= 0]
    return (
        float(-np.log2(np.maximum(counts[shown], 1) / users).mean())
        if len(shown) and users
        else 0.0
    )


def _first(hits: np.ndarray, k: int) -> np.ndarray:
    return hits[:, :k].astype(np.float64)
