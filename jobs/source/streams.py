"""Named random streams: the draws of one stream on one day depend on nothing else."""

from __future__ import annotations

from datetime import date
from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """The purposes of random numbers.

    Their values determine every simulated row and never change.
    """

    CUSTOMERS = 0
    MERCHANTS = 1
    TRANSACTIONS = 2
    COMPROMISED_MERCHANTS = 3
    COMPROMISED_CUSTOMERS = 4
    STOLEN = 5
    REPORTS = 6
    GENRES = 7
    MOVIES = 8
    USERS = 9
    VIEWS = 10
    OPINIONS = 11


def generator(seed: int, stream: Stream, day: date | None = None) -> np.random.Generator:
    """Return the generator of `stream` on `day`; a stream without days leaves it out."""
    key = (int(stream), day.toordinal() if day else 0)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
