"""The hybrid: a blend of scores, or a ranker, over the candidates of the other algorithms."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import product

import numpy as np
import scipy.sparse as sp
import xgboost as xgb

from jobs.evaluation.bootstrap import bootstrap_interval
from jobs.training import boosting, device
from jobs.training.boosting import BoostingPlan, Checkpoints
from jobs.usecases.movies import metrics, ranking
from jobs.usecases.movies.params import GPU_LIBRARIES, MoviesTrainParams
from jobs.usecases.movies.scorers import SOURCES, Scorers

BLENDED = (*SOURCES, "walk", "fresh")
POPULAR, ALONE = (
    (0.0, 0.0, 1.0, 0.0, 0.0),
    (1.0, 0.0, 0.0, 0.0, 0.0),
)  # popularity and collaborative by themselves
KINDS: dict[tuple[float, ...], str] = {POPULAR: "popular", ALONE: "collaborative"}
GRID = tuple(
    product((1.0,), (0.0, 0.1), (0.0, 0.3, 1.0, 3.0), (0.0, 0.3, 1.0), (0.0, 0.3, 1.0, 3.0, 10.0))
)
JUDGES = 30  # users: of fewer the bootstrap is too sure of itself
FEATURES = (
    *BLENDED,
    *(f"{name}_raw" for name in BLENDED),
    *(f"{name}_rank" for name in BLENDED),
    "popularity_slow",
    "days_since_first_seen",
    "years_since_release",
    "genre_affinity",
    "user_interactions",
)


@dataclass(frozen=True, eq=False)
class Candidates:
    """Candidates of users, and their features.

    places    users by candidates, -1 where a user has fewer
    features  users by candidates by FEATURES
    """

    places: np.ndarray
    features: np.ndarray


@dataclass(frozen=True, eq=False)
class ValidationWindow:
    """Candidates of users, and what the users took.

    labels    whether the user took the candidate
    relevant  how many movies the user took
    """

    found: Candidates
    labels: np.ndarray
    relevant: np.ndarray

    def ndcg(self, scores: np.ndarray) -> np.ndarray:
        """nDCG@10 of each user, of candidates so scored."""
        hits = np.take_along_axis(self.labels, ranking.top(scores, 10), axis=1)
        return metrics.ndcg(hits, self.relevant, 10)

    def examples(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(features, label, place of user), a row a candidate of the users who took one."""
        valid = (self.found.places >= 0) & self.labels.any(axis=1, keepdims=True)
        return (
            self.found.features[valid],
            self.labels[valid].astype(np.float32),
            np.nonzero(valid)[0],
        )


@dataclass(frozen=True, eq=False)
class Hybrid:
    """What validation chose. `figures`: nDCG@10 of each contender in the window that decided."""

    weights: tuple[float, ...] = ALONE
    ranker: bytes = b""
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """popular, collaborative, blend or ranker."""
        return "ranker" if self.ranker else KINDS.get(self.weights, "blend")

    @cached_property
    def booster(self) -> xgb.Booster:
        """The ranker, set up here once: blocks of users predict with it at the same time."""
        booster = xgb.Booster({"nthread": 1})
        booster.load_model(bytearray(self.ranker))
        return booster

    def scores(self, candidates: Candidates) -> np.ndarray:
        """Users by candidates, float32; popularity for users without history.

        -inf where there is no candidate.
        """
        found = self._ranked(candidates) if self.ranker else blend(candidates, self.weights)
        new = candidates.features[:, :, FEATURES.index("user_interactions")].max(axis=1) == 0
        found[new] = blend(candidates, POPULAR)[new]
        return found

    def _ranked(self, candidates: Candidates) -> np.ndarray:
        found = np.full(candidates.places.shape, -np.inf, np.float32)
        valid = candidates.places >= 0
        rows = candidates.features[valid]
        found[valid] = self.booster.inplace_predict(rows) if len(rows) else 0
        return found


def candidates(
    scorers: Scorers,
    history: sp.csr_array,
    scores: dict[str, np.ndarray],
    lists: dict[str, np.ndarray],
) -> Candidates:
    """The union of the lists of SOURCES with FEATURES."""
    places = ranking.union([lists[name] for name in SOURCES])
    valid, at = places >= 0, np.maximum(places, 0)
    raw = [np.where(valid, np.take_along_axis(scores[name], at, axis=1), 0) for name in BLENDED]
    columns = [*map(_normalised, raw), *raw, *(_ranks(column, valid) for column in raw)]
    columns += [scorers.popularity[2][at], scorers.age[at]]
    years = scorers.catalogue.years
    newest = np.nanmax(years) if not np.isnan(years).all() else np.nan
    columns += [(newest - years)[at], _affinity(scorers, history, at)]
    columns.append(np.broadcast_to(np.diff(history.indptr)[:, None], places.shape))
    return Candidates(
        places, np.stack([np.asarray(column, np.float32) for column in columns], axis=2)
    )


def blend(found: Candidates, weights: tuple[float, ...]) -> np.ndarray:
    """The weighted sum of the normalised scores of BLENDED."""
    total = sum(
        weight * found.features[:, :, column] for column, weight in enumerate(weights) if weight
    )
    scores: np.ndarray = np.where(found.places >= 0, total, -np.inf).astype(np.float32)
    return scores


def choose(
    first: ValidationWindow,
    second: ValidationWindow,
    params: MoviesTrainParams,
    checkpoints: Checkpoints | None = None,
) -> Hybrid:
    """The contender with the best nDCG@10 in the second window, or collaborative.

    A contender must beat collaborative beyond doubt (95 %, paired by user), since no hybrid should
    fall below it. The first window chose the weights of the blend and fitted the ranker. The
    windows follow each other, because two halves of the users of one window would share its news.
    A ranker that wins is fitted again on both.
    """
    weights = max(
        (POPULAR, ALONE, *GRID), key=lambda each: first.ndcg(blend(first.found, each)).mean()
    )
    contenders = {
        "popular": Hybrid(POPULAR),
        "collaborative": Hybrid(ALONE),
        "blend": Hybrid(weights),
    }
    if params.ranker and (ranker := fit_ranker([first], params, checkpoints)):
        contenders["ranker"] = Hybrid(ranker=ranker)
    values = {name: second.ndcg(each.scores(second.found)) for name, each in contenders.items()}
    figures = {name: float(each.mean()) for name, each in values.items()}
    best = max(figures, key=figures.__getitem__)
    low, _ = bootstrap_interval(values[best], values["collaborative"], params.seed)
    if low <= 0 or len(values[best]) < JUDGES:
        best = "collaborative"
    ranker = fit_ranker([first, second], params, checkpoints) if best == "ranker" else b""
    return Hybrid(contenders[best].weights, ranker, figures)


def fit_ranker(
    windows: list[ValidationWindow],
    params: MoviesTrainParams,
    checkpoints: Checkpoints | None = None,
) -> bytes:
    """An XGBoost ranker (UBJSON) on the candidates of the windows.

    Users without a hit among their candidates teach nothing; empty if all are such users.
    """
    parts = [window.examples() for window in windows]
    features, labels, users = (np.concatenate(part) for part in zip(*parts, strict=True))
    if not len(labels):
        return b""
    groups = np.cumsum(np.diff(users, prepend=users[0]) != 0)
    matrix = xgb.QuantileDMatrix(features, label=labels, qid=groups, nthread=params.threads)
    settings = {
        "objective": "rank:ndcg",
        "tree_method": "hist",
        "max_depth": params.ranker_depth,
        "learning_rate": params.ranker_learning_rate,
        "min_child_weight": 5,
        "subsample": 0.8,
        "lambdarank_pair_method": "topk",
        "lambdarank_num_pair_per_sample": 20,
        "seed": params.seed,
        "nthread": params.threads,
        "device": device.resolve(params.device, *GPU_LIBRARIES),
    }
    booster = boosting.train(
        settings,
        matrix,
        BoostingPlan(params.ranker_rounds, params.checkpoint_rounds),
        stage=f"ranker-{len(windows)}",
        checkpoints=checkpoints,
    )
    return bytes(booster.save_raw("ubj"))


def _normalised(values: np.ndarray) -> np.ndarray:
    """Divided by the largest absolute value of the row."""
    largest = np.abs(values).max(axis=1, keepdims=True)
    return values / np.where(largest > 0, largest, 1)


def _ranks(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """0 for the row's highest."""
    order = np.argsort(np.where(valid, -values, np.inf), axis=1, kind="stable")
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(order.shape[1])[None, :], axis=1)
    return ranks


def _affinity(scorers: Scorers, history: sp.csr_array, places: np.ndarray) -> np.ndarray:
    """The share of a user's strength in the genres of each candidate; the mean over its genres."""
    genres = scorers.catalogue.genre_matrix
    tastes = np.asarray((history @ genres).toarray())
    tastes /= np.maximum(tastes.sum(axis=1, keepdims=True), 1e-9)
    shares = tastes @ genres.toarray().T / np.maximum(np.asarray(genres.sum(axis=1)).ravel(), 1)
    return np.asarray(np.take_along_axis(shares, places, axis=1))
