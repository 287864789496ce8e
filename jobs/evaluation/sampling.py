"""Reproducible samples: the same rows in any order give the same sample."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa


def sample(table: pa.Table, key: Sequence[str], rows: int, seed: int = 0) -> pa.Table:
    """Return at most `rows` rows, drawn without replacement and sorted by the unique `key`."""
    ordered = table.sort_by([(name, "ascending") for name in key]).combine_chunks()
    if ordered.num_rows <= rows:
        return ordered
    places = np.random.default_rng(seed).choice(ordered.num_rows, rows, replace=False)
    return ordered.take(pa.array(np.sort(places))).combine_chunks()
