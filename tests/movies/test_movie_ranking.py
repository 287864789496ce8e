"""The vectorised parts against loops, and EASE against its definition."""

from __future__ import annotations

import sys
from functools import partial

import numpy as np
import pytest
import scipy.sparse as sp

from jobs.core.errors import ConfigError, DataError
from jobs.usecases.movies import ease, ranking, reasons, walk


@pytest.mark.parametrize("seed", range(6))
def test_top_is_the_sorted_row_ties_by_place(seed):
    chance = np.random.default_rng(seed)
    scores = chance.integers(0, 6, (30, 25)).astype(np.float32)
    scores[chance.random(scores.shape) < 0.4] = -np.inf
    for row, places in zip(scores, ranking.top(scores, 12), strict=True):
        left = [place for place in range(25) if row[place] > -np.inf]
        expected = sorted(left, key=lambda place: (-row[place], place))[:12]
        assert places.tolist() == expected + [-1] * (12 - len(expected))
    assert ranking.top(scores[:0], 5).shape == (0, 5)
    assert ranking.top(scores[:, :3], 20).shape == (30, 3)


def test_union_and_contains():
    candidates = ranking.union([np.array([[3, 1, -1]]), np.array([[1, 5, -1]])])
    assert candidates[0][candidates[0] >= 0].tolist() == [1, 3, 5]
    hits = ranking.contains(
        (np.array([0, 1]), np.array([3, 1])), np.array([[3, 1, -1], [3, 1, -1]]), 6
    )
    assert hits.tolist() == [[True, False, False], [False, True, False]]


def matrix(seed=0, users=50, items=12):
    chance = np.random.default_rng(seed)
    return sp.csr_array(
        chance.random((users, items)) * (chance.random((users, items)) < 0.4), dtype=np.float32
    )


def test_ease_solves_each_column_without_the_movie_itself():
    """Column j is the ridge regression of movie j on all others (diag(B) = 0), solved alone."""
    rows = matrix()
    weights, dense = ease.fit(rows, 3.0, 100), rows.toarray().astype(float)
    assert weights.dtype == np.float32 and not np.diag(weights).any()
    for item in range(dense.shape[1]):
        others = np.delete(np.arange(dense.shape[1]), item)
        x = dense[:, others]
        expected = np.linalg.solve(x.T @ x + 3 * np.eye(len(others)), x.T @ dense[:, item])
        np.testing.assert_allclose(weights[others, item], expected, atol=1e-6)


def test_ease_above_its_limit_says_what_to_do():
    with pytest.raises(DataError, match=r"12 movies.*ease_max_items") as caught:
        ease.fit(matrix(), 1.0, 11)
    assert "min_interactions" in caught.value.remedy


def test_ease_takes_another_inverse():
    np.testing.assert_allclose(
        ease.fit(matrix(), 1.0, 12, np.linalg.inv), ease.fit(matrix(), 1.0, 12), atol=1e-6
    )


def test_the_gpus_inverse_is_the_cpus():
    """The same code on NumPy's arrays: without a GPU this is as near as a test comes."""
    gpus = partial(ease.gpu_inverse, arrays=np)
    np.testing.assert_allclose(
        ease.fit(matrix(), 1.0, 12, gpus), ease.fit(matrix(), 1.0, 12), atol=1e-6
    )
    gram = (matrix().T @ matrix()).toarray() + np.eye(12)
    assert (gpus(gram) == gpus(gram).T).all()


def test_a_gpu_without_cupy_is_an_error_that_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(ConfigError, match=r"(?s)needs CuPy.*train\.device"):
        ease.fit(matrix(), 1.0, 12, ease.INVERSE["cuda"])


def test_walk_is_the_product_of_its_chances():
    rows = matrix(1)
    seen = rows.toarray() > 0
    weights = walk.fit(rows, 0.5, 11).toarray()
    for one in range(12):
        for other in range(12):
            chance = sum(
                seen[u, one] / seen[:, one].sum() * seen[u, other] / seen[u].sum()
                for u in range(50)
                if seen[u].any()
            )
            expected = 0 if one == other else chance / seen[:, other].sum() ** 0.5
            assert weights[one, other] == pytest.approx(expected, rel=1e-5)
    assert (np.count_nonzero(walk.fit(rows, 0.5, 3).toarray(), axis=0) == 3).all()


def test_the_strongest_reason_is_that_of_a_loop():
    history, similarity = (
        matrix(2),
        np.random.default_rng(3).integers(0, 5, (12, 12)).astype(np.float32),
    )
    history = sp.csr_array(sp.vstack([history, sp.csr_array((1, 12), dtype=np.float32)]))
    places = np.random.default_rng(4).integers(0, 12, (51, 6))
    best, gain = reasons.strongest(history, places, lambda seen, shown: similarity[seen, shown])
    for user in range(51):
        seen = history[[user]].indices
        for slot in range(6):
            gains = [history[user, each] * similarity[each, places[user, slot]] for each in seen]
            assert gain[user, slot] == pytest.approx(max(gains, default=0))
            if len(seen):
                assert best[user, slot] == seen[int(np.argmax(np.array(gains, np.float32)))]
