"""What validation selects: half-life, prior, and a hybrid that clearly beats collaborative."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from movie_world import DAY, START, interactions

from jobs.usecases.movies import catalogue, folds, hybrid, metrics, ranking, validation
from jobs.usecases.movies.hybrid import BLENDED, FEATURES, Candidates, ValidationWindow
from jobs.usecases.movies.params import MoviesTrainParams
from kept_checkpoints import Kept

PARAMS = MoviesTrainParams(threads=1, ranker=False)


@pytest.mark.parametrize("seed", range(5))
def test_ndcg_of_popular_is_that_of_the_whole_catalogue_ranked(seed):
    chance = np.random.default_rng(seed)
    seen, popularity = chance.random((30, 70)) < 0.3, chance.integers(0, 9, 70).astype(np.float32)
    seen[0] = False
    targets = np.nonzero((chance.random(seen.shape) < 0.1) & ~seen)
    places = ranking.top(np.where(seen, -np.inf, popularity), 10)
    hits = ranking.contains(targets, places, 70)
    expected = metrics.ndcg(hits, np.bincount(targets[0], minlength=30), 10).mean()
    ndcg = folds.ndcg_of_popular(popularity, sp.csr_array(seen.astype(np.float32)), targets)
    assert ndcg == pytest.approx(expected)


def trend(period):
    """Pairs of interactions: one with the trend of these `period` days, one with a lasting hit."""
    chance, appeal = np.random.default_rng(5), 1 / np.arange(1, 101) ** 0.5
    rows = []
    for day in range(60):
        for user in chance.choice(2000, 30, replace=False):
            time, movie = START + day * DAY + int(user), chance.choice(100, p=appeal / appeal.sum())
            rows.append((f"u{user}", f"m{day // period:02}", time, 8))
            rows.append((f"u{user}", f"r{movie:02}", time, 8))
    return interactions(rows)


def test_the_half_life_is_short_where_fashion_is():
    half_lives = {}
    for period in (2, 60):
        rows = trend(period)
        half_lives[period] = validation.choose(rows, catalogue.read(rows), PARAMS).half_life
    assert half_lives[2] <= 2 < 14 <= half_lives[60]


def test_too_few_rows_choose_nothing():
    rows = interactions([("a", "m", START, 8), ("b", "m", START, 8)])
    choice = validation.choose(rows, catalogue.read(rows), PARAMS)
    assert (choice.half_life, choice.prior, choice.hybrid.kind) == (7, 0, "collaborative")


def made(chance, telling, users=200, count=40):
    """Candidates, one of which is taken; only the scores named in `telling` show which."""
    features = chance.random((users, count, len(FEATURES))).astype(np.float32)
    features[:, :, FEATURES.index("user_interactions")] = 5
    labels = np.zeros((users, count), bool)
    labels[np.arange(users), chance.integers(0, count, users)] = True
    for name in telling:
        features[:, :, BLENDED.index(name)] += 0.4 * labels
    return ValidationWindow(
        Candidates(np.tile(np.arange(count), (users, 1)), features), labels, labels.sum(axis=1)
    )


@pytest.mark.parametrize(
    ("telling", "kind"),
    [
        (["popular"], "popular"),
        (["collaborative"], "collaborative"),
        (["collaborative", "popular", "walk"], "blend"),
    ],
)
def test_the_best_kind_wins(telling, kind):
    chance = np.random.default_rng(0)
    choice = hybrid.choose(made(chance, telling), made(chance, telling), PARAMS)
    assert choice.kind == kind
    assert max(choice.figures.values()) == choice.figures[kind]
    assert choice.figures.keys() == {"popular", "collaborative", "blend"}


def test_what_is_not_surely_better_than_collaborative_is_not_chosen():
    first, second = (made(np.random.default_rng(seed), ["collaborative"]) for seed in (0, 1))
    column = BLENDED.index("popular")
    second.found.features[:, :, column] = second.found.features[
        :, :, BLENDED.index("collaborative")
    ]
    found = np.flatnonzero(second.ndcg(hybrid.blend(second.found, hybrid.ALONE)) == 0)[:1]
    second.found.features[found, :, column] += (
        3 * second.labels[found]
    )  # popular is right about one user more
    choice = hybrid.choose(first, second, PARAMS)
    assert (
        choice.figures["popular"] > choice.figures["collaborative"]
        and choice.kind == "collaborative"
    )


def test_a_ranker_competes_and_strangers_get_the_popular():
    chance = np.random.default_rng(1)
    windows = [made(chance, []) for _ in range(2)]
    for each in windows:  # taken is what lies nearest to the middle: no blend can say so
        column = FEATURES.index("genre_affinity")
        each.labels[:] = False
        nearest = np.abs(each.found.features[:, :, column] - 0.5).argmin(axis=1)
        each.labels[np.arange(len(nearest)), nearest] = True
    params, kept = MoviesTrainParams(threads=1, ranker_rounds=30, checkpoint_rounds=11), Kept()
    choice = hybrid.choose(*windows, params, kept)
    assert choice.kind == "ranker" and choice.figures["ranker"] > choice.figures["blend"] + 0.2
    new = Candidates(windows[0].found.places, windows[0].found.features.copy())
    new.features[:, :, FEATURES.index("user_interactions")] = 0
    np.testing.assert_array_equal(choice.scores(new), hybrid.blend(new, hybrid.POPULAR))
    for count in range(1, len(kept)):  # killed anywhere, it goes on to the same ranker
        assert hybrid.choose(*windows, params, kept.first(count)).ranker == choice.ranker
    assert len(kept) == 6
