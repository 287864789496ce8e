"""A simulation of movie days for source.simulation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import pyarrow as pa

from jobs.source.schema import MOVIES, USER_INTERACTIONS, OperationalTable
from jobs.source.stage import Cursor, Stage
from jobs.usecases.movies.operational.audience import gather
from jobs.usecases.movies.operational.day import simulate_day


@dataclass(frozen=True)
class Day:
    """The rows of a day: its interactions, and all movies that exist."""

    interactions: pa.Table
    movies: pa.Table


@dataclass(frozen=True)
class Made:
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

    def tables(self) -> Iterator[tuple[date, Day]]:
        audience = gather(self.seed, self.users, self.movies)
        for day in (self.start + timedelta(days=number) for number in range(self.days)):
            yield day, Day(simulate_day(audience, day), audience.movies.on(day))

    def parts(self, rows: Day) -> Mapping[OperationalTable, pa.Table]:
        return {USER_INTERACTIONS: rows.interactions, MOVIES: rows.movies}

    def merge(self, cursor: Cursor, rows: Day) -> None:
        for table, part in self.parts(rows).items():
            stage = Stage(cursor, table.columns)
            stage.copy(part)
            stage.upsert(table, part.column_names)
            stage.drop()

    def nothing(self) -> Made:
        return Made()

    def plus(self, total: Made, rows: Day) -> Made:
        of = Counter(rows.interactions["interaction_type"].to_pylist())
        views, ratings, likes = (
            total.views + of["view"],
            total.ratings + of["rating"],
            total.likes + of["like"],
        )
        return Made(views, ratings, likes, len(rows.movies))
