"""`nightshift source` for movies: load ratings, movies and interactions, or simulate them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from jobs.cli.loading import LoadOptions, run_load, run_simulation, with_options
from jobs.usecases.movies.operational.formats import Format

Form = Annotated[
    Format,
    typer.Option(
        "--format",
        help="Format of the files: colons (`::` between columns), MovieLens 100K's u.data or "
        "u.item, Netflix's, CSV or parquet; auto decides by their content.",
    ),
]
_START = datetime(2018, 4, 1)


@with_options
def load_ratings(
    options: LoadOptions,
    form: Form = Format.auto,
    scale: Annotated[
        str, typer.Option(metavar="MIN..MAX", help="Reject ratings outside this range.")
    ] = "0..10",
    since: Annotated[
        datetime,
        typer.Option(
            formats=["%Y-%m-%d"],
            help="Reject ratings before this day, or more than a day in the future.",
        ),
    ] = datetime(1990, 1, 1),
) -> None:
    """Load movie ratings of MovieLens, MovieTweetings or other files into user_interactions.

    Columns: user_id, movie_id, value (the rating) and timestamp (seconds since 1970, or ISO 8601),
    all required; MovieLens' own column names work too. A row's id is user:movie:seconds, so that
    loading a file again changes nothing.

    Example: nightshift source load ratings --files ml-latest-small/ratings.csv --scale 0.5..5
    """
    from jobs.usecases.movies.operational.movielens import RATINGS, Opener
    from jobs.usecases.movies.operational.readings import parse_scale, ratings
    from jobs.usecases.movies.operational.tables import TABLES, USER_INTERACTIONS

    reading = ratings(Opener(RATINGS, form), parse_scale(scale), since.replace(tzinfo=UTC))
    run_load(USER_INTERACTIONS, TABLES, options, reading=reading)


@with_options
def load_movies(
    options: LoadOptions,
    form: Form = Format.auto,
) -> None:
    """Load movies of MovieLens, MovieTweetings or other files.

    Columns: movie_id and title (both required), year, genres (`Action|Drama`). Without a column
    year, the year comes from the title: `Heat (1995)` becomes Heat, 1995. For a movie_id that
    exists already, only the columns in the files change.

    Example: nightshift source load movies --files ml-1m/movies.dat --encoding latin-1
    """
    from jobs.usecases.movies.operational.movielens import MOVIES as LINES
    from jobs.usecases.movies.operational.movielens import Opener
    from jobs.usecases.movies.operational.readings import movies
    from jobs.usecases.movies.operational.tables import MOVIES, TABLES

    reading = movies(Opener(LINES, form, item=options.encoding or "latin-1"))
    run_load(MOVIES, TABLES, options, reading=reading)


@with_options
def load_interactions(options: LoadOptions) -> None:
    """Load interactions of any type, with their own ids, from CSV or parquet.

    For an id that exists already, only the columns in the files change. Columns: id, user_id,
    movie_id, interaction_type (rating, view or like) and timestamp, all required; value (of a
    rating), metadata (JSON; for a view with watch_time_s).

    Example: nightshift source load interactions --files 'out/user_interactions/*.parquet'
    """
    from jobs.usecases.movies.operational.readings import interactions
    from jobs.usecases.movies.operational.tables import TABLES, USER_INTERACTIONS

    run_load(USER_INTERACTIONS, TABLES, options, reading=interactions())


def simulate_ratings(
    days: Annotated[int, typer.Option(min=1, help="Number of days.")],
    users: Annotated[
        int,
        typer.Option(
            min=1, help="Number of users; each watches about one movie a day, a few many."
        ),
    ],
    movies: Annotated[int | None, typer.Option(min=1, help="Default: one per two users.")] = None,
    start: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="The first day.")] = _START,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same rows.")] = 0,
    to: Annotated[Path | None, typer.Option(help="Write parquet files here instead.")] = None,
) -> None:
    """Simulate realistic movies with views, ratings and likes.

    Users and movies have latent tastes and genres. Few movies get most views, and few users watch
    most. Tastes drift, and new movies arrive for a year from 2018-04-01 on. A day's rows depend
    only on seed, users, movies and date. Existing rows with the same id are replaced; a second
    population for the same days mixes with the first.

    Example: nightshift source simulate-ratings --days 60 --users 1000 --start 2018-04-01
    """
    from jobs.usecases.movies.operational.simulation import MovieSimulation

    simulation = MovieSimulation(start.date(), days, users, movies or max(users // 2, 1), seed)
    counts = run_simulation(simulation, to)
    typer.echo(
        f"{counts.views:,} views, {counts.ratings:,} ratings and {counts.likes:,} likes "
        f"of {counts.movies:,} movies on {days} days"
    )
