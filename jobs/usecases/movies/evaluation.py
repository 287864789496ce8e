"""Judging every algorithm on held-out interactions, by user, by activity and in the mean."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from jobs.core.errors import ConfigError
from jobs.usecases.movies import metrics, ranking, recommend
from jobs.usecases.movies.folds import Targets
from jobs.usecases.movies.hybrid import Hybrid
from jobs.usecases.movies.interactions import Interactions
from jobs.usecases.movies.recommend import ALGORITHMS, Lists
from jobs.usecases.movies.scorers import Scorers
from jobs.usecases.movies.tables import TOP

LATEST_DAYS = 2
SLICES = {
    "cold": (0, 0),
    "light": (1, 4),
    "medium": (5, 19),
    "heavy": (20, None),
}  # interactions known
MEASURES = {
    "ndcg": metrics.ndcg,
    "map": metrics.average_precision,
    "precision": metrics.precision,
    "recall": metrics.recall,
}


@dataclass(frozen=True, eq=False)
class JudgedRankings:
    """Results by user, for each algorithm.

    users     users with a held-out movie that they had not seen; they are the units
    latest    whether the user was active on the last days
    activity  how many movies the user had
    relevant  how many movies are held out
    hits      algorithm to users by places
    overall   algorithm to coverage and novelty
    """

    users: np.ndarray
    latest: np.ndarray
    activity: np.ndarray
    relevant: np.ndarray
    hits: dict[str, np.ndarray]
    overall: dict[str, dict[str, float]]

    @property
    def units(self) -> int:
        return len(self.users)

    def value(self, metric: str, weights: np.ndarray | None = None) -> float:
        """The hybrid's mean over users, each counted as often as `weights` says."""
        values = self._hybrid(metric)
        return float(np.average(values, weights=weights)) if len(values) else float("nan")

    def slices(self, metric: str) -> dict[str, tuple[float, int]]:
        """The hybrid's mean over the users of each slice, and how many they are."""
        values = self._hybrid(metric)
        return {
            name: (float(values[mine].mean()) if mine.any() else float("nan"), int(mine.sum()))
            for name, mine in (self._slices() | {"latest": self.latest}).items()
        }

    @cached_property
    def _hybrids(self) -> dict[str, np.ndarray]:
        return self.values("hybrid")

    def _hybrid(self, metric: str) -> np.ndarray:
        known = self._hybrids
        if metric not in known:
            raise ConfigError(
                f"{metric!r} cannot be compared with a bootstrap",
                remedy=f"choose one of {', '.join(known)}",
            )
        return known[metric]

    def _slices(self) -> dict[str, np.ndarray]:
        return {
            name: (self.activity >= least) & (self.activity <= (np.inf if most is None else most))
            for name, (least, most) in SLICES.items()
        }

    def at(self, algorithm: str, k: int) -> dict[str, np.ndarray]:
        """`<measure>_at_<k>` to one value per user; k is TOP at most."""
        hits = self.hits[algorithm]
        return {
            f"{name}_at_{k}": measure(hits, self.relevant, k) for name, measure in MEASURES.items()
        }

    def values(self, algorithm: str) -> dict[str, np.ndarray]:
        """What is reported: all at 10, and recall_at_20."""
        return self.at(algorithm, 10) | {"recall_at_20": self.at(algorithm, 20)["recall_at_20"]}

    def summary(self) -> dict[str, float]:
        """Means over users.

        The hybrid's have plain names, every algorithm's are `<algorithm>.<measure>`. Its nDCG in a
        slice is `<algorithm>.<slice>.ndcg_at_10`; a slice without users has none.
        """
        found: dict[str, float] = {"users": float(len(self.users))}
        for name in ALGORITHMS:
            means = {measure: _mean(values) for measure, values in self.values(name).items()}
            found |= {
                f"{name}.{measure}": value
                for measure, value in (means | self.overall[name]).items()
            }
            found |= means | self.overall[name] if name == "hybrid" else {}
        for part, mine in self._slices().items():
            found[f"users.{part}"] = float(mine.sum())
            if mine.any():
                for name in ALGORITHMS:
                    found[f"{name}.{part}.ndcg_at_10"] = _mean(
                        self.values(name)["ndcg_at_10"][mine]
                    )
        return found


def judge(
    scorers: Scorers,
    chosen: Hybrid,
    known: Interactions,
    taken: pa.Table,
    candidates: int,
    threads: int,
) -> JudgedRankings:
    """Judge every algorithm on `taken` (interactions.unseen).

    Every movie of `taken` is relevant, whatever its rating; one that the catalogue lacks counts as
    missed. Users without history are judged by what they get: the popular movies.
    """
    users, relevant, targets = _targets(taken, scorers)
    history = known.of(users)

    def work(block: slice) -> dict[str, Lists]:
        rows = history[block]
        return recommend.lists(scorers, chosen, rows, np.full(rows.shape[0], ""), candidates)

    made = list(ranking.by_blocks(work, len(users), len(scorers.catalogue), threads))
    empty = np.zeros((0, TOP), int)
    stacked = {
        name: np.concatenate([empty, *_padded([each[name].places for each in made])])
        for name in ALGORITHMS
    }
    hits = {
        name: ranking.contains(targets, rows, len(scorers.catalogue))
        for name, rows in stacked.items()
    }
    counts = np.bincount(known.strengths.indices, minlength=len(scorers.catalogue))
    overall = {
        name: {
            "coverage": metrics.coverage(rows, len(scorers.catalogue)),
            "novelty": metrics.novelty(rows, counts, len(known.users)),
        }
        for name, rows in stacked.items()
    }
    return JudgedRankings(
        users, _latest(taken, users), np.diff(history.indptr), relevant, hits, overall
    )


def _latest(taken: pa.Table, users: np.ndarray) -> np.ndarray:
    """Which of the users were active on the last LATEST_DAYS."""
    days = taken["event_time"].to_numpy().astype("datetime64[D]")
    late = taken["user_id"].to_numpy()[days > days.max() - LATEST_DAYS] if len(days) else []
    return np.isin(users.astype(str), np.asarray(late, str))


def _targets(taken: pa.Table, scorers: Scorers) -> tuple[np.ndarray, np.ndarray, Targets]:
    """(users, how many movies are relevant to each, (user, movie) of those in the catalogue)."""
    movies = scorers.catalogue.places(taken["movie_id"])
    users, rows = np.unique(taken["user_id"].to_numpy().astype(object), return_inverse=True)
    listed = movies >= 0
    return users, np.bincount(rows, minlength=len(users)), (rows[listed], movies[listed])


def _padded(parts: list[np.ndarray]) -> list[np.ndarray]:
    """A catalogue of fewer than TOP movies makes shorter lists."""
    return [np.pad(part, ((0, 0), (0, TOP - part.shape[1])), constant_values=-1) for part in parts]


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else 0.0
