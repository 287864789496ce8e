"""The top N of every user by every algorithm, in blocks of users with bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from jobs.usecases.movies import hybrid, ranking
from jobs.usecases.movies.hybrid import Hybrid
from jobs.usecases.movies.interactions import Interactions
from jobs.usecases.movies.reasons import reasons
from jobs.usecases.movies.scorers import SOURCES, Scorers
from jobs.usecases.movies.tables import TOP

ALGORITHMS = ("hybrid", *SOURCES)
SCHEMA = pa.schema(
    [
        ("user_id", pa.string()),
        ("algorithm", pa.string()),
        ("rank", pa.int32()),
        ("movie_id", pa.string()),
        ("title", pa.string()),
        ("score", pa.float64()),
        ("reason", pa.string()),
    ]
)


@dataclass(frozen=True, eq=False)
class Lists:
    """Lists of one algorithm: `places` of movies, and their scores.

    `places` are users by TOP, best first; -1 where no movie is left.
    """

    places: np.ndarray
    scores: np.ndarray


def lists(
    scorers: Scorers,
    chosen: Hybrid,
    history: sp.csr_array,
    favourites: np.ndarray,
    candidates: int,
) -> dict[str, Lists]:
    """The lists of every algorithm for a block of users (rows of `history`)."""
    scores = scorers.scores(history, favourites)
    best = {name: ranking.top(scores[name], max(candidates, TOP)) for name in SOURCES}
    found = {
        name: Lists(places[:, :TOP], ranking.gather(scores[name], places[:, :TOP]))
        for name, places in best.items()
    }
    union = hybrid.candidates(scorers, history, scores, best)
    values = chosen.scores(union)
    order = ranking.top(values, TOP)
    places = np.where(order < 0, -1, np.take_along_axis(union.places, np.maximum(order, 0), axis=1))
    return {"hybrid": Lists(places, ranking.gather(values, order)), **found}


def recommend(
    scorers: Scorers,
    chosen: Hybrid,
    known: Interactions,
    users: np.ndarray,
    favourites: np.ndarray | None = None,
    candidates: int = 50,
    threads: int = 2,
) -> Iterator[pa.Table]:
    """Tables of SCHEMA, one per block of `users`: up to TOP rows per user and algorithm, in order.

    Movies that a user has seen according to `known` are not recommended. Users without history get
    `popular` from every algorithm, with movies of their favourite genre first (`favourites` are in
    the order of `users`, "" if unknown).
    """
    likes = np.full(len(users), "") if favourites is None else favourites

    def work(block: slice) -> pa.Table:
        history = known.of(users[block])
        tastes = np.where(np.diff(history.indptr) > 0, "", likes[block])
        found = lists(scorers, chosen, history, tastes, candidates)
        texts = {
            name: reasons(name, scorers, history, found[name].places, tastes) for name in ALGORITHMS
        }
        return _table(scorers, users[block], found, texts)

    return ranking.by_blocks(work, len(users), len(scorers.catalogue), threads)


def _table(
    scorers: Scorers, users: np.ndarray, found: dict[str, Lists], texts: dict[str, np.ndarray]
) -> pa.Table:
    places = np.stack([found[name].places for name in ALGORITHMS], axis=1)
    scores = np.stack([found[name].scores for name in ALGORITHMS], axis=1)
    words = np.stack([texts[name] for name in ALGORITHMS], axis=1)
    user, algorithm, rank = np.nonzero(places >= 0)
    movies = places[user, algorithm, rank]
    return pa.table(
        [
            pa.array(users, pa.string()).take(pa.array(user)),
            pa.array(ALGORITHMS).take(pa.array(algorithm)),
            (rank + 1).astype(np.int32),
            pa.array(scorers.catalogue.ids, pa.string()).take(pa.array(movies)),
            pa.array(scorers.catalogue.titles, pa.string()).take(pa.array(movies)),
            scores[user, algorithm, rank].astype(np.float64),
            pa.array(words[user, algorithm, rank], pa.string()),
        ],
        schema=SCHEMA,
    )
