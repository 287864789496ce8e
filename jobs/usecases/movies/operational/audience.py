"""The audience: drifting tastes, activity by a power law, and the movies offered on a day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from itertools import count

import numpy as np
import pyarrow as pa

from jobs.source.streams import Floats, Integers, generator, numbered
from jobs.usecases.movies.operational.catalogue import (
    FACTORS,
    MoviesStream,
    SimulatedCatalogue,
    catalogue,
    genre_vectors,
)
from jobs.usecases.movies.operational.titles import GENRES

CYCLE = 60  # days in which a user comes across every movie once
PICKY = 1.6  # how much taste decides what is watched
RATE, TAIL, MOST = 0.5, 1.6, 15.0  # movies a day: at least, exponent of the power law, at most
DRIFT = (400.0, 1600.0)  # days in which a taste turns into another one
_CHUNK = 1 << 22  # cells of a matrix of users by movies


@dataclass(frozen=True)
class Audience:
    """Users by position, and the `movies` they watch.

    A taste turns from `taste` to `later` by one quarter in `turning` days. `habit` is the share of
    watched movies that a user rates, `mood` the rating of an average movie; users with `halves`
    give half points. `weight` makes the chances of a user's movies add up to `rate`. `stride` and
    `offset` define the order in which movies are offered to the user.
    """

    seed: int
    movies: SimulatedCatalogue
    user_id: pa.Array
    taste: Floats
    later: Floats
    turning: Floats
    rate: Floats
    habit: Floats
    mood: Floats
    halves: Integers
    weight: Floats
    stride: Integers
    offset: Integers
    modulus: int

    def __len__(self) -> int:
        return len(self.rate)

    def taste_on(self, day: date) -> Floats:
        """Return all tastes on `day`; times a movie's factors, they are affinities near N(0, 1)."""
        angle = day.toordinal() / self.turning * (np.pi / 2)
        return self.taste * np.cos(angle)[:, None] + self.later * np.sin(angle)[:, None]

    def offered(self, users: Integers, day: date) -> Integers:
        """Return the movies offered to `users` on `day`, one row per user.

        >= len(movies) means none.

        Within CYCLE days or slightly less, every movie is offered once.
        """
        width = -(-self.modulus // CYCLE)
        turn = day.toordinal() % -(-self.modulus // width)
        place = turn * width + np.arange(width)
        offered = (self.stride[users, None] * place + self.offset[users, None]) % self.modulus
        return np.where(place < self.modulus, offered, self.modulus)


def gather(seed: int, users: int, movies: int) -> Audience:
    """Return the audience and the movies of `seed`, `users` and `movies`."""
    genres = genre_vectors(seed)
    films = catalogue(seed, movies, genres)
    random = generator(seed, MoviesStream.USERS)
    taste, later = (_taste(random, users, genres) for _ in range(2))
    modulus = _prime(movies)
    rate = np.minimum(RATE * (1 + random.pareto(TAIL, users)), MOST)
    return Audience(
        seed=seed,
        movies=films,
        user_id=numbered("U", np.arange(users), 7),
        taste=taste,
        later=later,
        turning=random.uniform(*DRIFT, users),
        rate=rate,
        habit=random.beta(4, 2, users),
        mood=random.normal(5.6, 0.8, users),
        halves=(random.random(users) < 0.3).astype(np.int64),
        weight=rate * CYCLE / _demand(taste, films),
        stride=random.integers(1, modulus, users),
        offset=random.integers(0, modulus, users),
        modulus=modulus,
    )


def _taste(random: np.random.Generator, users: int, genres: Floats) -> Floats:
    """Draw tastes: three favourite genres and an individual part; affinities are near N(0, 1)."""
    favourites = np.argsort(random.random((users, len(GENRES))), axis=1)[:, :3]
    mixed = genres[favourites].sum(axis=1) + 0.8 * random.normal(size=(users, FACTORS)) / np.sqrt(
        FACTORS
    )
    taste: Floats = mixed / np.linalg.norm(mixed, axis=1, keepdims=True) * np.sqrt(FACTORS)
    return taste


def _demand(taste: Floats, films: SimulatedCatalogue) -> Floats:
    chunks = np.array_split(taste, len(taste) * len(films) // _CHUNK + 1)
    return np.concatenate(
        [np.exp(PICKY * (chunk @ films.factors.T)) @ films.appeal for chunk in chunks]
    )


def _prime(least: int) -> int:
    """Return the first prime >= `least` and >= 2: every smaller stride then visits all places."""
    return next(
        number
        for number in count(max(least, 2))
        if all(number % divisor for divisor in range(2, int(number**0.5) + 1))
    )
