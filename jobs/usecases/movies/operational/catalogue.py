"""The simulated movies: their properties, demand and arrival."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import IntEnum

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jobs.source.streams import Floats, Integers, generator, numbered
from jobs.usecases.movies.operational.tables import MOVIES
from jobs.usecases.movies.operational.titles import GENRES, titles

FACTORS = 8
EPOCH = date(2018, 4, 1)
"""From here on new movies arrive, for ARRIVING days; the others are always there."""

ARRIVING = 365
NEW = 1 / 3  # of the movies arrive then
EXPONENT, HEAD = 0.8, 3  # appeal is (rank + HEAD) ** -EXPONENT
NOVELTY, FADING = (
    4.0,
    21.0,
)  # a movie that arrives appeals up to 1 + NOVELTY times as much; days until it is 1/e
LACKING = 0.01  # of the movies have no genre, as many others no year
_MORE_GENRES = np.array([0.3, 0.75])  # a movie has one genre up to here, then two, then three
_MINUTES = 104


class MoviesStream(IntEnum):
    """The purposes of random numbers.

    Their values determine every simulated row, never change, and occur in no other use case.
    """

    GENRES = 7
    MOVIES = 8
    USERS = 9
    VIEWS = 10
    OPINIONS = 11


@dataclass(frozen=True)
class SimulatedCatalogue:
    """Movies by position: unit vectors `factors`, `quality` in points of the scale, `seconds`.

    `arrival` is the ordinal of the first day of a movie, 0 for always.
    """

    rows: pa.Table
    factors: Floats
    appeal: Floats
    quality: Floats
    seconds: Integers
    arrival: Integers

    def __len__(self) -> int:
        return len(self.appeal)

    def on(self, day: date) -> pa.Table:
        """Return the rows of `movies` that exist on `day`."""
        return self.rows.filter(pa.array(self.arrival <= day.toordinal()))

    def appeal_on(self, day: date) -> Floats:
        """Return the demand for every movie on `day`, 0 before its arrival."""
        age = day.toordinal() - self.arrival
        fresh = 1 + NOVELTY * np.exp(-np.maximum(age, 0) / FADING)
        return np.where(age < 0, 0.0, self.appeal * np.where(self.arrival > 0, fresh, 1.0))


def catalogue(seed: int, movies: int, genres: Floats) -> SimulatedCatalogue:
    """Return the movies of `seed`; `genres` has one vector per genre."""
    random = generator(seed, MoviesStream.MOVIES)
    of = _genres(random, movies)
    mixed = of @ genres / of.sum(axis=1, keepdims=True) + 0.6 * _unit(
        random.normal(size=(movies, FACTORS))
    )
    new = random.random(movies) < NEW
    arrival = np.where(new, EPOCH.toordinal() + random.integers(0, ARRIVING, movies), 0)
    return SimulatedCatalogue(
        rows=_rows(random, of, arrival),
        factors=_unit(mixed),
        appeal=np.power(random.permutation(movies) + HEAD, -EXPONENT, dtype=np.float64),
        quality=random.normal(0, 0.6, movies),
        seconds=np.rint(60 * np.clip(random.normal(_MINUTES, 18, movies), 45, 210)).astype(
            np.int64
        ),
        arrival=arrival,
    )


def genre_vectors(seed: int) -> Floats:
    """Return one unit vector per genre; tastes and movies are mixtures of them."""
    return _unit(generator(seed, MoviesStream.GENRES).normal(size=(len(GENRES), FACTORS)))


def _genres(random: np.random.Generator, movies: int) -> Floats:
    """Return one row per movie, with 1 for its one to three genres and 2 for the first."""
    share = np.array([share for _, share, _ in GENRES])
    # Gumbel's trick: the largest are a draw without replacement, in order.
    order = np.argsort(-(np.log(share) + random.gumbel(size=(movies, len(GENRES)))), axis=1)
    count = 1 + np.searchsorted(_MORE_GENRES, random.random(movies), side="right")
    of = np.zeros((movies, len(GENRES)))
    for place in range(len(_MORE_GENRES) + 1):
        here = np.flatnonzero(count > place)
        of[here, order[here, place]] = 1 + (place == 0)
    return of


def _rows(random: np.random.Generator, of: Floats, arrival: Integers) -> pa.Table:
    movies = len(of)
    age = np.minimum(random.exponential(14, movies), 85).astype(np.int64)
    year = np.where(arrival > 0, _years(arrival), EPOCH.year - 1 - age)
    lacking = random.random(movies)
    columns = (
        numbered("", np.arange(1, movies + 1), 7),
        pa.array(titles(random, of.argmax(axis=1))),
        pa.array(year, pa.int32(), mask=(lacking >= LACKING) & (lacking < 2 * LACKING)),
        _listed(of, lacking < LACKING),
    )
    return pa.table(columns, names=list(MOVIES.names))


def _years(arrival: Integers) -> Integers:
    return np.array([date.fromordinal(max(int(day), 1)).year for day in arrival], dtype=np.int64)


def _listed(of: Floats, lacking: npt.NDArray[np.bool_]) -> pa.Array:
    names = np.array([name for name, _, _ in GENRES])
    return pa.array(["|".join(sorted(names[row > 0])) for row in of], pa.string(), mask=lacking)


def _unit(vectors: Floats) -> Floats:
    unit: Floats = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit
