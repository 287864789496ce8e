"""Two ways to hold rows back: the latest, or a random share of each user's."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

from jobs.core.errors import ConfigError, DataError
from jobs.movies.interactions import deduplicate, times


def split(table: pa.Table, how: str, ratio: float, seed: int) -> tuple[pa.Table, pa.Table]:
    """(the rows to fit on, the rows to judge on), about `ratio` to 1 - `ratio`; DataError when one is empty."""
    table, _ = deduplicate(table)
    if how not in HOW:
        raise ConfigError(f"no split {how!r}", remedy=f"splits: {', '.join(HOW)}")
    late = HOW[how](table, ratio, seed)
    if late.all() or not late.any():
        raise DataError(
            f"{table.num_rows} interactions cannot be split {ratio:g} to {1 - ratio:g}",
            remedy="take more days; interactions of one instant fall on one side",
        )
    return table.filter(pa.array(~late)), table.filter(pa.array(late))


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
