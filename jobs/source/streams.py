"""Random streams of simulations: the draws of one stream on one day depend on nothing else."""

from __future__ import annotations

from datetime import date
from enum import IntEnum

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def generator(seed: int, stream: IntEnum, day: date | None = None) -> np.random.Generator:
    """Return the generator of `stream` on `day`; a stream without days leaves it out."""
    key = (int(stream), day.toordinal() if day else 0)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def numbered(prefix: str, numbers: Integers, width: int) -> pa.Array:
    """Return `prefix` and zero-padded numbers as an Arrow array of strings."""
    digits = pc.utf8_lpad(pa.array(numbers).cast(pa.string()), width, "0")
    return pc.binary_join_element_wise(prefix, digits, "")
