"""Popularity by recency: each interaction counts half after every half-life."""

from __future__ import annotations

import numpy as np

from jobs.usecases.movies.catalogue import Catalogue
from jobs.usecases.movies.interactions import Interactions

SPEEDS = (1.0, 0.3, 10.0)  # half-lives, as multiples of the one that was chosen; the first ranks


def fit(interactions: Interactions, half_life: float) -> np.ndarray:
    """SPEEDS by movies, float32; the most popular movie has 1.

    Interactions decay until the time of the last one.
    """
    age = interactions.days.max() - interactions.days
    items, count = interactions.strengths.indices, interactions.strengths.shape[1]
    decayed = np.stack(
        [np.bincount(items, 0.5 ** (age / (half_life * speed)), count) for speed in SPEEDS]
    )
    return np.asarray(decayed / decayed.max(axis=1, keepdims=True), np.float32)


def scores(popularity: np.ndarray, catalogue: Catalogue, favourites: np.ndarray) -> np.ndarray:
    """Users by movies: popularity; where a user's favourite genre is known, its movies come first.

    `favourites` holds a genre's name, or "", for each user.
    """
    places = {name: column for column, name in enumerate(catalogue.genre_names)}
    found = np.tile(popularity, (len(favourites), 1))
    chosen = np.array([places.get(name, -1) for name in favourites])
    known = chosen >= 0
    if known.any():
        found[known] += 2 * catalogue.genre_matrix[:, chosen[known]].toarray().T
    return found
