"""RP3beta: random walks of three steps, from a user's movies over users to movies.

Paudel et al., TiiS 2017.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp


def fit(matrix: sp.csr_array, beta: float, neighbours: int) -> sp.csr_array:
    """Weights (items by items): the chance of a walk from one to the other.

    The chance is divided by the popularity of the other to the power of beta. Each movie keeps its
    strongest `neighbours`, and more in case of ties.
    """
    seen = matrix.copy()
    seen.data = np.ones_like(seen.data)
    users, items = (np.maximum(np.asarray(seen.sum(axis=axis)).ravel(), 1) for axis in (1, 0))
    chance = (sp.diags_array(1 / items) @ seen.T @ sp.diags_array(1 / users) @ seen).toarray()
    np.fill_diagonal(chance, 0)
    chance /= items**beta
    count = min(neighbours, len(chance) - 1)
    least = np.partition(chance, len(chance) - count, axis=0)[len(chance) - count]
    return sp.csr_array(np.where(chance >= least, chance, 0).astype(np.float32))
