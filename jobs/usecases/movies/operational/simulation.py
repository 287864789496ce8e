"""Simulate days of movies and what their audience does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import pyarrow as pa

from jobs.core.identity import days
from jobs.source.schema import OperationalTable
from jobs.source.stage import Cursor, Stage
from jobs.usecases.movies.operational.audience import gather
from jobs.usecases.movies.operational.day import simulate_day
from jobs.usecases.movies.operational.tables import MOVIES, TABLES, USER_INTERACTIONS


@dataclass(frozen=True)
class MovieDay:
    """The rows of a day: its interactions, and all movies that exist."""

    interactions: pa.Table
    movies: pa.Table


@dataclass(frozen=True)
class MovieCounts:
    """The numbers of simulated rows; `movies` is the number of movies on the last day."""

    views: int = 0
    ratings: int = 0
    likes: int = 0
    movies: int = 0


@dataclass(frozen=True)
class MovieSimulation:
    """Movies to simulate: `days` days from `start` on, of the audience of `seed`."""

    start: date
    days: int
    users: int
    movies: int
    seed: int = 0

    @property
    def operational(self) -> tuple[OperationalTable, ...]:
        return TABLES

    def tables(self) -> Iterator[tuple[date, MovieDay]]:
        audience = gather(self.seed, self.users, self.movies)
        for day in days(self.start, self.start + timedelta(days=self.days - 1)):
            yield day, MovieDay(simulate_day(audience, day), audience.movies.on(day))

    def parts(self, rows: MovieDay) -> Mapping[OperationalTable, pa.Table]:
        return {USER_INTERACTIONS: rows.interactions, MOVIES: rows.movies}

    def merge(self, cursor: Cursor, rows: MovieDay) -> None:
        for table, part in self.parts(rows).items():
            stage = Stage(cursor, table.columns)
            stage.copy(part)
            stage.merge(table, part.column_names)
            stage.drop()

    def nothing(self) -> MovieCounts:
        return MovieCounts()

    def plus(self, total: MovieCounts, rows: MovieDay) -> MovieCounts:
        of = Counter(rows.interactions["interaction_type"].to_pylist())
        return MovieCounts(
            views=total.views + of["view"],
            ratings=total.ratings + of["rating"],
            likes=total.likes + of["like"],
            movies=len(rows.movies),
        )
