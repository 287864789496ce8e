"""Choosing the hybrid on rows that the candidates' scores have not seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from jobs.core import log
from jobs.core.errors import DataError
from jobs.movies import hybrid, interactions, metrics, ranking, scorers
from jobs.movies.catalogue import Catalogue
from jobs.movies.hybrid import Candidates, Hybrid, Window
from jobs.movies.interactions import Interactions
from jobs.movies.params import TrainParams
from jobs.movies.scorers import SOURCES, Scorers
from jobs.movies.split import split

Targets = tuple[np.ndarray, np.ndarray]
LOG = log.logger()


def choose(table: pa.Table, catalogue: Catalogue, params: TrainParams) -> tuple[float, Hybrid]:
    """(the prior of collaborative, the hybrid), by nDCG@10 in two windows, one after the other.

    The candidates of a window are scored by what was fitted on the rows before it. Where the rows are too few to be
    split, both are what needs no validation: no prior, collaborative alone.
    """
    try:
        early, late = split(table, params.validation, 1 - params.validation_share, params.seed)
        first, middle = split(early, params.validation, 1 - params.validation_share, params.seed)
        before = [
            (interactions.read(rows, catalogue, params), after)
            for rows, after in ((first, middle), (early, late))
        ]
        fitted = [scorers.fit(known, catalogue, params) for known, _ in before]
    except DataError as error:
        LOG.warning("too few rows to validate: collaborative alone", reason=error.what)
        return 0.0, Hybrid()
    samples = [sample(known, after, catalogue, params) for known, after in before]
    if not all(len(users) for users, _ in samples):
        LOG.warning("nobody came back to validate on: collaborative alone")
        return 0.0, Hybrid()
    histories = [known.of(users) for (known, _), (users, _) in zip(before, samples, strict=True)]
    prior = _prior(fitted, histories, [targets for _, targets in samples], params)
    windows = [
        window(replace(each, prior=prior), history, targets, params.candidates)
        for each, history, (_, targets) in zip(fitted, histories, samples, strict=True)
    ]
    return prior, hybrid.choose(windows[0], windows[1], params)


def window(fitted: Scorers, history: sp.csr_array, targets: Targets, count: int) -> Window:
    """The users of `history` with their candidates and what they took."""
    found = gather_candidates(fitted, history, count)
    labels = ranking.contains(targets, found.places, history.shape[1])
    return Window(found, labels, np.bincount(targets[0], minlength=history.shape[0]))


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


def _prior(
    fitted: list[Scorers], histories: list[sp.csr_array], targets: list[Targets], params: TrainParams
) -> float:
    """The weight of popularity with which collaborative does best over all windows; of equals the smallest."""

    def quality(prior: float) -> float:
        windows = zip(fitted, histories, targets, strict=True)
        return sum(_quality(replace(each, prior=prior), *rest) for each, *rest in windows)

    return max(sorted(params.priors), key=quality)


def _quality(fitted: Scorers, history: sp.csr_array, targets: Targets) -> float:
    relevant, total = np.bincount(targets[0], minlength=history.shape[0]), 0.0
    for block in ranking.blocks(history.shape[0], history.shape[1]):
        places = ranking.top(fitted.collaborative(history[block]), 10)
        mine = (targets[0] >= block.start) & (targets[0] < block.stop)
        wanted = (targets[0][mine] - block.start, targets[1][mine])
        hits = ranking.contains(wanted, places, history.shape[1])
        total += float(metrics.ndcg(hits, relevant[block], 10).sum())
    return total / int(history.shape[0])
