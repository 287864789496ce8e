"""Two ways to hold rows back: the latest, or a random share of each user's."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

from jobs.core.errors import ConfigError, DataError
from jobs.usecases.movies.interactions import deduplicate, times, unseen


def split(table: pa.Table, how: str, ratio: float, seed: int) -> tuple[pa.Table, pa.Table]:
    """(rows to fit on, rows to judge on), about `ratio` to 1 - `ratio`; DataError if one is empty.

    Of several interactions of a user with a movie, the last one of a side counts. A movie that the
    user has in the rows to fit on is not judged. A split by time does not tell the early side that
    a user comes back to a movie.
    """
    if how not in HOW:
        raise ConfigError(f"no split {how!r}", remedy=f"splits: {', '.join(HOW)}")
    rows = table if how == "time" else deduplicate(table)[0]
    held_out = HOW[how](rows, ratio, seed)
    early, _ = deduplicate(rows.filter(pa.array(~held_out)))
    late = unseen(rows.filter(pa.array(held_out)), early)
    if not early.num_rows or not late.num_rows:
        raise DataError(
            f"{table.num_rows} interactions cannot be split {ratio:g} to {1 - ratio:g}",
            remedy="take more days; interactions of one instant fall on one side",
        )
    return early, late


def _latest(table: pa.Table, ratio: float, seed: int) -> np.ndarray:
    """Rows of one instant stay together, on the later side."""
    stamps = times(table)
    if not len(stamps):
        return np.zeros(0, bool)
    late: np.ndarray = stamps >= np.sort(stamps)[min(int(len(stamps) * ratio), len(stamps) - 1)]
    return late


def _of_each_user(table: pa.Table, ratio: float, seed: int) -> np.ndarray:
    """Whoever has one row keeps it on the early side."""
    draws = pd.Series(np.random.default_rng(seed).random(table.num_rows))
    users = table["user_id"].to_numpy()
    place = draws.groupby(users).rank(method="first").to_numpy()
    size = draws.groupby(users).transform("size").to_numpy()
    late: np.ndarray = place > np.maximum(1, np.round(size * ratio))
    return late


HOW = {"time": _latest, "stratified": _of_each_user}
