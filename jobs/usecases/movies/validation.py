"""Decisions that need validation, on rows that the candidates' scores have not seen."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from statistics import median_high

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from jobs.core import log
from jobs.core.errors import DataError
from jobs.training.boosting import Checkpoints
from jobs.usecases.movies import folds, hybrid, popular, ranking
from jobs.usecases.movies.catalogue import Catalogue
from jobs.usecases.movies.folds import Fold, Targets
from jobs.usecases.movies.hybrid import Candidates, Hybrid, ValidationWindow
from jobs.usecases.movies.params import MoviesTrainParams
from jobs.usecases.movies.scorers import SOURCES, Scorers

Sample = tuple[sp.csr_array, Targets]
LOG = log.logger()


@dataclass(frozen=True)
class Choice:
    """The half-life of popularity in days, its weight in collaborative, and the hybrid."""

    half_life: float
    prior: float = 0.0
    hybrid: Hybrid = field(default_factory=Hybrid)


def choose(
    table: pa.Table,
    catalogue: Catalogue,
    params: MoviesTrainParams,
    checkpoints: Checkpoints | None = None,
) -> Choice:
    """Choose half-life, then prior, then hybrid, each by nDCG@10 in two windows in succession.

    A window is scored by what was fitted on the rows before it. If the rows are too few to be
    split, the choice is what needs no validation: middle half-life, no prior, collaborative alone.
    """
    unchosen = Choice(median_high(params.half_lives_days))
    try:
        made = folds.make(table, catalogue, params)
    except DataError as error:
        LOG.warning("too few rows to validate: collaborative alone", reason=error.what)
        return unchosen
    samples = [fold.sample(params.validation_users, params.seed) for fold in made]
    if not all(history.shape[0] for history, _ in samples):
        LOG.warning("nobody came back to validate on: collaborative alone")
        return unchosen
    half_life = _half_life(made, params)
    fitted = [replace(fold.scorers, popularity=popular.fit(fold.known, half_life)) for fold in made]
    prior = _prior(fitted, samples, params)
    windows = [
        window(replace(each, prior=prior), *sample, params.candidates, params.threads)
        for each, sample in zip(fitted, samples, strict=True)
    ]
    return Choice(half_life, prior, hybrid.choose(windows[0], windows[1], params, checkpoints))


def window(
    fitted: Scorers, history: sp.csr_array, targets: Targets, count: int, threads: int
) -> ValidationWindow:
    """The users of `history` with their candidates and what they took."""
    found = gather_candidates(fitted, history, count, threads)
    labels = ranking.contains(targets, found.places, history.shape[1])
    return ValidationWindow(found, labels, np.bincount(targets[0], minlength=history.shape[0]))


def gather_candidates(
    fitted: Scorers, history: sp.csr_array, count: int, threads: int
) -> Candidates:
    """The candidates of all users, made block by block."""

    def work(block: slice) -> Candidates:
        rows = history[block]
        scores = fitted.scores(rows, np.full(rows.shape[0], ""))
        lists = {name: ranking.top(scores[name], count) for name in SOURCES}
        return hybrid.candidates(fitted, rows, scores, lists)

    parts = list(ranking.by_blocks(work, history.shape[0], history.shape[1], threads))
    places, features = ([getattr(part, name) for part in parts] for name in ("places", "features"))
    return Candidates(np.concatenate(places), np.concatenate(features))


def _half_life(made: list[Fold], params: MoviesTrainParams) -> float:
    """The half-life with which popularity is best over all windows; ties: the longest.

    All users of the windows count, since users without history get popularity alone.
    """
    parts = [(fold.known, *fold.everybody()) for fold in made]

    def quality(half_life: float) -> float:
        return sum(
            folds.ndcg_of_popular(popular.fit(known, half_life)[0], *rest) for known, *rest in parts
        )

    return max(sorted(params.half_lives_days, reverse=True), key=quality)


def _prior(fitted: list[Scorers], samples: list[Sample], params: MoviesTrainParams) -> float:
    """The weight of popularity that serves collaborative best over all windows; ties: smallest."""

    def quality(prior: float) -> float:
        parts = zip(fitted, samples, strict=True)
        return sum(
            folds.ndcg_of_collaborative(replace(each, prior=prior), *rest, params.threads)
            for each, rest in parts
        )

    return max(sorted(params.priors), key=quality)
