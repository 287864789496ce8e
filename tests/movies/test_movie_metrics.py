"""Metrics against their definitions, counted out."""

from __future__ import annotations

from math import isnan, log2

import numpy as np
import pytest

from jobs.evaluation.bootstrap import bootstrap_interval
from jobs.usecases.movies import metrics


def case(seed, users=40, width=20):
    chance = np.random.default_rng(seed)
    hits = chance.random((users, width)) < 0.2
    return hits, hits.sum(axis=1) + chance.integers(0, 6, users)


def brute(hits, relevant, k):
    values = []
    for row, count in zip(hits[:, :k], relevant, strict=True):
        places = [place for place, hit in enumerate(row, 1) if hit]
        best = min(count, k)
        ideal = sum(1 / log2(place + 1) for place in range(1, best + 1))
        values.append(
            (
                sum(1 / log2(place + 1) for place in places) / ideal if count else 0.0,
                sum(number / place for number, place in enumerate(places, 1)) / best
                if count
                else 0.0,
                len(places) / k,
                len(places) / count if count else 0.0,
            )
        )
    return np.array(values).T


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("k", [1, 10, 20])
def test_measures_are_their_definitions(seed, k):
    hits, relevant = case(seed)
    relevant[0], hits[0] = 0, False
    functions = (metrics.ndcg, metrics.average_precision, metrics.precision, metrics.recall)
    for function, expected in zip(functions, brute(hits, relevant, k), strict=True):
        np.testing.assert_allclose(function(hits, relevant, k), expected, rtol=1e-12)


def test_limits():
    every, none, ten = np.ones((3, 10), bool), np.zeros((3, 10), bool), np.full(3, 10)
    for function in (metrics.ndcg, metrics.average_precision, metrics.precision, metrics.recall):
        np.testing.assert_allclose(function(every, ten, 10), 1)
        np.testing.assert_array_equal(function(none, ten, 10), 0)
        assert function(every[:0], ten[:0], 10).shape == (0,)
    short = np.array([[True, False]])  # a list shorter than k
    assert metrics.ndcg(short, np.array([1]), 10)[0] == 1
    assert metrics.precision(short, np.array([1]), 10)[0] == 0.1


def test_coverage_and_novelty():
    places = np.array([[0, 1], [1, -1]])
    assert metrics.coverage(places, 4) == 0.5
    assert metrics.coverage(places[:0], 4) == metrics.coverage(places[:0], 0) == 0
    counts = np.array([4, 2, 0, 1])
    assert metrics.novelty(places, counts, 4) == pytest.approx((0 + 1 + 1) / 3)
    assert metrics.novelty(np.array([[2]]), counts, 4) == 2  # nobody counts as one
    assert metrics.novelty(places[:0], counts, 4) == 0


def test_the_interval_is_paired_seeded_and_honest():
    chance = np.random.default_rng(0)
    theirs = chance.random(300)
    low, high = bootstrap_interval(theirs + 0.01, theirs, seed=1)
    assert low == pytest.approx(0.01) and high == pytest.approx(
        0.01
    )  # though users differ far more
    assert bootstrap_interval(theirs, seed=1) == bootstrap_interval(theirs, seed=1)
    low, high = bootstrap_interval(theirs, seed=2)
    error = 1.96 * theirs.std() / np.sqrt(len(theirs))
    assert (low, high) == pytest.approx((theirs.mean() - error, theirs.mean() + error), abs=0.005)
    assert all(map(isnan, bootstrap_interval(theirs[:0])))
