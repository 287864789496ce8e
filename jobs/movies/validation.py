"""Choosing the hybrid on rows that the candidates' scores have not seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from jobs.core.errors import DataError
from jobs.movies import hybrid, interactions, metrics, ranking, scorers
from jobs.movies.catalogue import Catalogue
from jobs.movies.hybrid import Candidates, Hybrid
from jobs.movies.interactions import Interactions
from jobs.movies.params import TrainParams
from jobs.movies.scorers import SOURCES, Scorers
from jobs.movies.split import split

Targets = tuple[np.ndarray, np.ndarray]


def choose(table: pa.Table, catalogue: Catalogue, params: TrainParams) -> tuple[float, Hybrid]:
    """(the prior of collaborative, the hybrid), by the nDCG@10 of scores fitted on the early rows of `table`.

    Where the rows are too few to be split, both are what needs no validation: no prior, collaborative alone.
    """
    try:
        early, late = split(table, params.validation, 1 - params.validation_share, params.seed)
        known = interactions.read(early, catalogue, params)
        fitted = scorers.fit(known, catalogue, params)
    except DataError:
        return 0.0, Hybrid()
    users, targets = sample(known, late, catalogue, params)
    if not len(users):
        return 0.0, Hybrid()
    history = known.of(users)
    fitted = replace(fitted, prior=_prior(fitted, history, targets, params))
    found = gather_candidates(fitted, history, params.candidates)
    return fitted.prior, hybrid.choose(found, targets, len(catalogue), params)


def sample(
    known: Interactions, late: pa.Table, catalogue: Catalogue, params: TrainParams
) -> tuple[np.ndarray, Targets]:
    """Users with a history and something of the catalogue in `late`, drawn by the seed; (place of user, movie)."""
    movies, names = catalogue.places(late["movie_id"]), late["user_id"].to_numpy()
    users = np.intersect1d(names[movies >= 0], known.users)
    chance = np.random.default_rng(params.seed)
    users = np.sort(chance.permutation(users)[: params.validation_users])
    wanted = np.isin(names, users) & (movies >= 0)
    return users, (np.searchsorted(users, names[wanted]), movies[wanted])


def gather_candidates(fitted: Scorers, history: sp.csr_array, count: int) -> Candidates:
    """The candidates of all users, made block by block."""
    parts = []
    for block in ranking.blocks(history.shape[0], history.shape[1]):
        rows = history[block]
        scores = fitted.scores(rows, np.full(rows.shape[0], ""))
        lists = {name: ranking.top(scores[name], count) for name in SOURCES}
        parts.append(hybrid.candidates(fitted, rows, scores, lists))
    places, features = ([getattr(part, name) for part in parts] for name in ("places", "features"))
    return Candidates(np.concatenate(places), np.concatenate(features))


def _prior(fitted: Scorers, history: sp.csr_array, targets: Targets, params: TrainParams) -> float:
    """The weight of popularity with which collaborative does best; of equals the smallest."""
    relevant = np.bincount(targets[0], minlength=history.shape[0])
    return max(
        sorted(params.priors),
        key=lambda prior: _quality(replace(fitted, prior=prior), history, targets, relevant),
    )


def _quality(fitted: Scorers, history: sp.csr_array, targets: Targets, relevant: np.ndarray) -> float:
    total = 0.0
    for block in ranking.blocks(history.shape[0], history.shape[1]):
        places = ranking.top(fitted.collaborative(history[block]), 10)
        mine = (targets[0] >= block.start) & (targets[0] < block.stop)
        wanted = (targets[0][mine] - block.start, targets[1][mine])
        hits = ranking.contains(wanted, places, history.shape[1])
        total += float(metrics.ndcg(hits, relevant[block], 10).sum())
    return total / history.shape[0]
