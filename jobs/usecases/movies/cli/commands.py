"""The commands of movies, and what fills its tables for the demo."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from jobs.cli.commands import Commands, RealData
from jobs.usecases.movies.cli import backtest, source

USERS, MOVIES = 600, 500  # of the demo


def _simulate(days: int, first: datetime) -> None:
    source.simulate_ratings(days=days, users=USERS, movies=MOVIES, start=first)


def _load_real(folder: Path) -> None:
    source.load_movies(files=[str(folder / "movies.dat")])
    source.load_ratings(files=[str(folder / "ratings.dat")])


COMMANDS = Commands(
    backtest=backtest.movies,
    source={"simulate-ratings": source.simulate_ratings},
    load={
        "ratings": source.load_ratings,
        "movies": source.load_movies,
        "interactions": source.load_interactions,
    },
    simulate=_simulate,
    real_data=RealData("ratings", "*.dat", "MovieTweetings", _load_real),
)
