"""The best of many scores, a block of users at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

CELLS = 2_000_000  # scores in a block of users: bounds memory, whatever the size of the catalogue
T = TypeVar("T")


def by_blocks(work: Callable[[slice], T], users: int, movies: int, threads: int) -> Iterator[T]:
    """The results of `work` for each block of users, in order, `threads` blocks at a time.

    The arithmetic runs outside the interpreter's lock. BLAS uses one thread, so that the number of
    threads changes no digit.
    """
    step = max(1, CELLS // max(1, movies))
    blocks = [slice(start, min(start + step, users)) for start in range(0, users, step)]
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(threads) as pool:
        yield from pool.map(work, blocks)


def top(scores: np.ndarray, count: int) -> np.ndarray:
    """Places of the `count` highest scores of each row, highest first; ties by place.

    -1 where no score is left; -inf counts as no score.
    """
    count = min(count, scores.shape[1])
    chosen = np.argpartition(scores, scores.shape[1] - count, axis=1)[:, scores.shape[1] - count :]
    values = np.take_along_axis(scores, chosen, axis=1)
    least = values.min(axis=1, keepdims=True)
    tied = np.flatnonzero((scores == least).sum(axis=1) > (values == least).sum(axis=1))
    chosen[tied] = _first_of_ties(scores[tied], least[tied], count)
    chosen.sort(axis=1)
    values = np.take_along_axis(scores, chosen, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    found, values = (np.take_along_axis(array, order, axis=1) for array in (chosen, values))
    return np.where(values == -np.inf, -1, found)


def _first_of_ties(scores: np.ndarray, least: np.ndarray, count: int) -> np.ndarray:
    """Places above `least`, and of those at it the first ones, `count` a row."""
    above, equal = scores > least, scores == least
    room = count - above.sum(axis=1, keepdims=True)
    return np.nonzero(above | (equal & (np.cumsum(equal, axis=1) <= room)))[1].reshape(-1, count)


def gather(scores: np.ndarray, places: np.ndarray) -> np.ndarray:
    """scores[row, place]; -inf at place -1."""
    return np.where(places < 0, -np.inf, np.take_along_axis(scores, np.maximum(places, 0), axis=1))


def union(lists: list[np.ndarray]) -> np.ndarray:
    """Each row's places in any of its lists, once, ascending; -1 elsewhere."""
    places = np.sort(np.concatenate(lists, axis=1), axis=1)
    places[:, 1:][places[:, 1:] == places[:, :-1]] = -1
    return places


def contains(targets: tuple[np.ndarray, np.ndarray], places: np.ndarray, movies: int) -> np.ndarray:
    """Whether (row, place) is among the targets (rows, places)."""
    rows = np.arange(len(places))[:, None]
    wanted = np.asarray(targets[0], np.int64) * movies + targets[1]
    found: np.ndarray = np.isin(rows * movies + places, wanted) & (places >= 0)
    return found
