"""`nightshift source` of movies: load ratings, movies and interactions, or simulate them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from jobs.cli.loading import Given, progress_bar, run_load, with_options
from jobs.core import settings
from jobs.source.formats import Format

Form = Annotated[
    Format,
    typer.Option(
        "--format",
        help="How the files are written: `::` between the columns (colons), MovieLens 100K's u.data or u.item,"
        " Netflix's, CSV, or parquet; auto decides by content and first line.",
    ),
]
_START = datetime(2018, 4, 1)


@with_options
def load_ratings(
    given: Given,
    form: Form = Format.auto,
    scale: Annotated[
        str, typer.Option(metavar="MIN..MAX", help="A rating outside is rejected.")
    ] = "0..10",
    since: Annotated[
        datetime,
        typer.Option(
            formats=["%Y-%m-%d"],
            help="A rating before this day, or more than a day ahead, is rejected.",
        ),
    ] = datetime(1990, 1, 1),
) -> None:
    """Load ratings of movies, from the files of MovieLens or MovieTweetings or others, into user_interactions.

    Columns: user_id, movie_id, value (the rating) and timestamp (seconds since 1970, or ISO 8601), all required;
    MovieLens' own names are known. A row's id is user:movie:seconds, so that a file loaded again changes nothing.

    Example: nightshift source load ratings --files ml-latest-small/ratings.csv --scale 0.5..5
    """
    from jobs.source.movielens import RATINGS, Opener
    from jobs.source.movies import parse_scale, ratings
    from jobs.source.schema import USER_INTERACTIONS

    reading = ratings(Opener(RATINGS, form), parse_scale(scale), since.replace(tzinfo=UTC))
    run_load(USER_INTERACTIONS, given, reading=reading)


@with_options
def load_movies(
    given: Given,
    form: Form = Format.auto,
) -> None:
    """Load movies, from the files of MovieLens or MovieTweetings or others.

    Columns: movie_id and title (both required), year, genres (`Action|Drama`). Without a column year, it is taken
    out of the title: `Heat (1995)` becomes Heat, 1995. Of a movie_id that is there already,
    the columns that the files have change.

    Example: nightshift source load movies --files ml-1m/movies.dat --encoding latin-1
    """
    from jobs.source.movielens import MOVIES as LINES
    from jobs.source.movielens import Opener
    from jobs.source.movies import movies
    from jobs.source.schema import MOVIES

    reading = movies(Opener(LINES, form, item=given.encoding or "latin-1"))
    run_load(MOVIES, given, reading=reading)


@with_options
def load_interactions(given: Given) -> None:
    """Load interactions of any type, with ids of their own, from CSV or parquet.

    Of an id that is there already, the columns that the files have change. Columns: id, user_id, movie_id,
    interaction_type (rating, view or like) and timestamp, all required; value (of a rating), metadata (JSON, of a
    view with watch_time_s).

    Example: nightshift source load interactions --files 'out/user_interactions/*.parquet'
    """
    from jobs.source.movies import interactions
    from jobs.source.schema import USER_INTERACTIONS

    run_load(USER_INTERACTIONS, given, reading=interactions())


def simulate_ratings(
    days: Annotated[int, typer.Option(min=1, help="How many days.")],
    users: Annotated[
        int, typer.Option(min=1, help="About one movie a day each; a few watch many.")
    ],
    movies: Annotated[int | None, typer.Option(min=1, help="Default: one for two users.")] = None,
    start: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="The first day.")] = _START,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same rows.")] = 0,
    to: Annotated[Path | None, typer.Option(help="Write parquet files here instead.")] = None,
) -> None:
    """Make believable movies, and views, ratings and likes of them.

    Users and movies have latent tastes and genres; few movies are watched by most, few users watch most; tastes
    drift; from 2018-04-01 on new movies arrive for a year. A day's rows depend on seed, users, movies and date
    alone. Rows that are there already are replaced by id; another population over the same days mixes with the
    first.

    Example: nightshift source simulate-ratings --days 60 --users 1000 --start 2018-04-01
    """
    from jobs.source.simulate.movies.simulation import MovieSimulation
    from jobs.source.simulate.write import to_database, to_files

    wanted = MovieSimulation(start.date(), days, users, movies or max(users // 2, 1), seed)
    with progress_bar() as show:

        def progress(done: int) -> None:
            show("simulating", done / days)

        made = (
            to_files(to, wanted, progress)
            if to
            else to_database(settings.load().source, wanted, progress)
        )
    typer.echo(
        f"{made.views:,} views, {made.ratings:,} ratings and {made.likes:,} likes of {made.movies:,} movies on {days} days"
    )
