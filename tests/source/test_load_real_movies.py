"""MovieTweetings' 100,000 ratings and 10,506 movies, all of them, through the loader."""

from __future__ import annotations

from contextlib import closing

import psycopg2
import pytest

from jobs.core.settings import PROJECT
from jobs.source.load import load
from jobs.source.request import Request
from jobs.usecases.movies.operational.readings import movies, ratings
from jobs.usecases.movies.operational.tables import MOVIES, TABLES, USER_INTERACTIONS

FOLDER = PROJECT.parent / "shared" / "data" / "ratings"


@pytest.mark.skipif(not FOLDER.is_dir(), reason="../shared/data/ratings is not here")
def test_movietweetings_loads_whole_and_a_second_time_writes_nothing(source_db, tmp_path):
    requests = (
        Request(MOVIES, (f"{FOLDER}/movies.dat",), reading=movies(), others=TABLES),
        Request(USER_INTERACTIONS, (f"{FOLDER}/ratings.dat",), reading=ratings(), others=TABLES),
    )

    def both():
        return [
            load(source_db, request, tmp_path / "bad.csv", lambda stage, share: None)
            for request in requests
        ]

    films, rated = both()
    assert (films.read, films.written, films.rejected, list(films.remarks.values())) == (
        10_506,
        10_506,
        {},
        [66, 0],
    )
    assert (rated.read, rated.written, rated.rejected, list(rated.remarks.values())) == (
        100_000,
        100_000,
        {},
        [0, 0],
    )
    assert [(summary.loaded, summary.written) for summary in both()] == [(10_506, 0), (100_000, 0)]
    with closing(psycopg2.connect(source_db)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(DISTINCT user_id), count(DISTINCT movie_id), sum(value), "
            "min(timestamp)::date::text"
            " FROM user_interactions"
        )
        assert cursor.fetchone() == (16_554, 10_506, 732482, "2013-02-28")
        cursor.execute("SELECT * FROM movies WHERE movie_id = '0002844'")
        fantomas = ("0002844", "Fantômas - À l'ombre de la guillotine", 1913, "Crime|Drama")
        assert cursor.fetchone() == fantomas
