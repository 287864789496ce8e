"""The 20 best movies for every user: Nightshift, Spark's ALS and, if installed, implicit's ALS.

`python -m bench.recommend [--users N] [--movies N]`. Ours has two lines: only the collaborative
lists, which the others make too, and the complete prediction of a night (four algorithms, scores,
titles and reasons). The models differ: ours has weights of movies by movies (EASE), the others have
FACTORS factors. Ours and implicit's leave out movies that a user has seen, Spark's does not. Only
recommending is timed, not fitting.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from bench.__main__ import ROUNDS, clock
from jobs.core import settings
from jobs.usecases.movies import ranking, recommend, scorers
from jobs.usecases.movies.catalogue import Catalogue
from jobs.usecases.movies.hybrid import Hybrid
from jobs.usecases.movies.interactions import Interactions
from jobs.usecases.movies.params import MoviesTrainParams
from jobs.usecases.movies.scorers import Scorers
from jobs.usecases.movies.tables import TOP

FACTORS, EACH = 64, 20
THREADS = os.cpu_count() or 1
Side = tuple[str, Callable[[], object]]


def main() -> None:
    parser = argparse.ArgumentParser(description="Users per second of top-20 recommendations.")
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--movies", type=int, default=5_000)
    options = parser.parse_args()
    with TemporaryDirectory(prefix="nightshift-bench-") as home:
        os.environ["NIGHTSHIFT_HOME"] = home
        history, catalogue = world(options.users, options.movies)
        print(
            f"{options.users:,} users x {options.movies:,} movies, "
            f"{history.strengths.nnz:,} interactions, top {TOP}"
        )
        compare([*ours(history, catalogue), *spark(history), *implicit(history)], options.users)


def compare(sides: list[Side], users: int) -> None:
    """Run all alternately, ROUNDS times after a warm-up, and print the medians."""
    for _, side in sides:
        side()
    rounds = [[clock(side) for _, side in sides] for _ in range(ROUNDS)]
    seconds = [median(column) for column in zip(*rounds, strict=True)]
    for (name, _), typical in zip(sides, seconds, strict=True):
        rate, ratio = users / typical, typical / seconds[0]
        print(
            f"{name:44} {typical:8.2f} s {rate:>10,.0f} users/s {ratio:7.1f} x",
            flush=True,
        )


def ours(history: Interactions, catalogue: Catalogue) -> Iterator[Side]:
    fitted = scorers.fit(history, catalogue, MoviesTrainParams(threads=THREADS), half_life=7)

    def everything() -> None:
        for table in recommend.recommend(fitted, Hybrid(), history, history.users, threads=THREADS):
            assert table.num_rows

    yield "Nightshift, collaborative", lambda: collaborative(fitted, history)
    yield "Nightshift, four algorithms with reasons", everything


def collaborative(fitted: Scorers, history: Interactions) -> None:
    def work(block: slice) -> np.ndarray:
        return ranking.top(fitted.collaborative(history.strengths[block]), TOP)

    assert sum(map(len, ranking.by_blocks(work, *history.strengths.shape, THREADS))) == len(
        history.users
    )


def spark(history: Interactions) -> Iterator[Side]:
    from pyspark.ml.recommendation import ALS

    from jobs.stores import spark as store

    users, movies = history.strengths.nonzero()
    frame = pd.DataFrame(
        {"user": users, "item": movies, "rating": history.strengths.data.astype(float)}
    )
    session = store.session(settings.load())  # before the estimator, which looks for one
    als = ALS(rank=FACTORS, maxIter=1, implicitPrefs=True, seed=0)
    model = als.fit(session.createDataFrame(frame))

    def run() -> None:
        model.recommendForAllUsers(TOP).write.format("noop").mode("overwrite").save()

    yield f"Spark ALSModel.recommendForAllUsers, rank {FACTORS}", run


def implicit(history: Interactions) -> Iterator[Side]:
    if not find_spec("implicit"):
        print("implicit is not installed: left out")
        return
    from implicit.als import AlternatingLeastSquares

    matrix = sp.csr_matrix(history.strengths)
    model = AlternatingLeastSquares(
        factors=FACTORS, iterations=1, random_state=0, num_threads=THREADS
    )
    model.fit(matrix, show_progress=False)
    everybody = np.arange(matrix.shape[0])

    def run() -> None:
        with threadpool_limits(1, "blas"):  # as implicit asks: it has threads of its own
            model.recommend(everybody, matrix, N=TOP)

    yield f"implicit ALS.recommend, rank {FACTORS}", run


def world(users: int, movies: int) -> tuple[Interactions, Catalogue]:
    """Generate about EACH movies per user, drawn by a power-law popularity."""
    chance = np.random.default_rng(0)
    appeal = 1 / np.arange(1, movies + 1) ** 0.8
    draws = chance.choice(movies, (users, EACH), p=appeal / appeal.sum())
    rows = np.repeat(np.arange(users), EACH)
    matrix = sp.csr_array(
        (np.ones(users * EACH, np.float32), (rows, draws.ravel())), shape=(users, movies)
    )
    matrix.sum_duplicates()
    matrix.data[:] = np.sqrt(chance.integers(1, 11, matrix.nnz) / 10)
    genres = chance.choice(["Action", "Comedy", "Drama", "Horror|Thriller"], movies).astype(object)
    numbers = np.arange(movies).astype(str)
    catalogue = Catalogue(
        np.char.zfill(numbers, 7).astype(object),
        np.array([f"Film {number}" for number in numbers], object),
        chance.integers(1950, 2020, movies).astype(float),
        genres,
    )
    names = np.char.zfill(np.arange(users).astype(str), 7).astype(object)
    return Interactions(names, matrix, chance.uniform(0, 365, matrix.nnz), 0), catalogue


if __name__ == "__main__":
    main()
