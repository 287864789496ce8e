"""Similarity of movies by what is said about them: genres, decade, and the terms of the title."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize

from jobs.usecases.movies.catalogue import Catalogue, split_genres

LABEL_WEIGHT, TITLE_WEIGHT = 1.0, 0.7


@dataclass(frozen=True, eq=False)
class Content:
    """Unit vectors of movies, in two parts.

    `labels` (genres, decade) are few and common, `terms` are rare.
    """

    labels: np.ndarray
    terms: sp.csr_array

    def scores(self, history: sp.csr_array) -> np.ndarray:
        """Users by movies: the cosines with what a user saw, weighted by strength and summed."""
        labels = np.asarray(history @ self.labels) @ self.labels.T
        return np.asarray(labels + (history @ self.terms @ self.terms.T).toarray(), np.float32)

    def pairs(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """The cosine of each pair of movies."""
        labels = np.einsum("pd,pd->p", self.labels[one], self.labels[other])
        terms = self.terms[one].multiply(self.terms[other]).sum(axis=1)
        return np.asarray(labels + np.asarray(terms).ravel(), np.float32)


def fit(catalogue: Catalogue) -> Content:
    """Vectors of every movie of the catalogue; a movie without any content has the zero vector."""
    labels = [
        _labels(genres, year)
        for genres, year in zip(catalogue.genres, catalogue.years, strict=True)
    ]
    parts = [
        LABEL_WEIGHT * _tf_idf(labels, analyzer=list),
        TITLE_WEIGHT
        * _tf_idf(list(catalogue.titles), token_pattern=r"(?u)\w+", min_df=2, max_df=0.02),
    ]
    known = sp.hstack(parts, format="csr")
    whole = normalize(known) if known.shape[1] else known
    few = parts[0].shape[1]
    return Content(
        np.ascontiguousarray(whole[:, :few].toarray(), np.float32),
        sp.csr_array(whole[:, few:]).astype(np.float32),
    )


def _labels(genres: str, year: float) -> list[str]:
    decade = [] if np.isnan(year) else [f"{int(year) // 10}0s"]
    return split_genres(genres) + decade


def _tf_idf(documents: Sequence[object], **options: object) -> sp.csr_array:
    """Rows of unit length; no columns where no term is common enough."""
    try:
        return sp.csr_array(TfidfVectorizer(**options).fit_transform(documents))
    except ValueError:  # scikit-learn refuses an empty vocabulary
        return sp.csr_array((len(documents), 0))
