"""Samples that repeat: the same rows, in whatever order they come, give the same sample."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa


def sample(table: pa.Table, key: Sequence[str], rows: int, seed: int = 0) -> pa.Table:
    """At most `rows` rows, drawn without replacement, in the order of `key`, which must be unique."""
    ordered = table.sort_by([(name, "ascending") for name in key]).combine_chunks()
    if ordered.num_rows <= rows:
        return ordered
    chosen = np.random.default_rng(seed).choice(ordered.num_rows, rows, replace=False)
    return ordered.take(pa.array(np.sort(chosen))).combine_chunks()
