"""`nightshift source` of movies as a person types it."""

from __future__ import annotations

from contextlib import closing

import psycopg2
import pytest
from typer.testing import CliRunner

from jobs.cli.source import app
from jobs.core.errors import ConfigError

AT = 1365029107


@pytest.fixture
def call(source_db, tmp_path, monkeypatch):
    monkeypatch.setenv("NIGHTSHIFT_SOURCE_DSN", source_db)
    monkeypatch.setenv("NIGHTSHIFT_HOME", str(tmp_path / "home"))

    def invoke(*arguments):
        result = CliRunner().invoke(
            app, [str(argument) for argument in arguments], catch_exceptions=False
        )
        assert result.exit_code == 0, result.output
        return result.stdout

    return invoke


def query(dsn, text):
    with closing(psycopg2.connect(dsn)) as connection, connection.cursor() as cursor:
        cursor.execute(text)
        return cursor.fetchall()


def write(path, *lines):
    path.write_text("\n".join([*lines, ""]))
    return path


def test_movies_and_ratings_with_a_report_of_every_row(call, source_db, tmp_path):
    films = write(tmp_path / "movies.dat", "1::Alien::Nation (1988)::Sci-Fi", "2::Nowhere::")
    output = call("load", "movies", "--files", films)
    assert "read 2 rows of 1 file = 2 loaded + 0 duplicates + 0 rejected" in output
    assert "written: 2 rows new or changed\n" in output
    assert "note: 1 movies have no genre\nnote: 1 movies have no year" in output
    rated = write(
        tmp_path / "ratings.dat",
        f"1::1::8::{AT}",
        f"1::1::9::{AT + 1}",
        f"1::3::5::{AT}",
        f"2::1::11::{AT}",
        f"1::1::8::{AT}",
    )
    output = call("load", "ratings", "--files", rated, "--max-bad-fraction", "0.5")
    assert "read 5 rows of 1 file = 3 loaded + 1 duplicates + 1 rejected" in output
    assert "rejected: 1 × value is outside the scale 0..10" in output
    assert (
        "note: 1 pairs of user and movie have several ratings: all are kept, the last one counts"
        in output
    )
    assert "note: 1 rows are of a movie that the table movies does not have" in output
    (rejects,) = (tmp_path / "home" / "rejects").glob("user_interactions-*.csv")
    assert str(rejects) in output
    assert query(source_db, "SELECT movie_id, title, year FROM movies ORDER BY 1")[0] == (
        "1",
        "Alien::Nation",
        1988,
    )
    again = call("load", "ratings", "--files", rated, "--max-bad-fraction", "0.5")
    assert "written: 0 rows new or changed" in again


def test_the_options_of_ratings(call, source_db, tmp_path):
    path = write(
        tmp_path / "own.csv", "who;what;stars;when", "a;x;5;2013-04-03 12:00:00", "b;y;4;1999-12-31"
    )
    call(
        *(
            "load",
            "ratings",
            "--files",
            path,
            "--format",
            "csv",
            "--delimiter",
            ";",
            "--scale",
            "0.5..5",
        ),
        *(
            "--map",
            "user_id=who,movie_id=what,value=stars,timestamp=when",
            "--timezone",
            "Europe/Berlin",
        ),
        *("--since", "2000-01-01", "--max-bad-fraction", "0.5"),
    )
    assert query(source_db, "SELECT id, value FROM user_interactions") == [("a:x:1364983200", 5.0)]


def test_latin_1_movies(call, source_db, tmp_path):
    path = tmp_path / "movies.dat"
    path.write_bytes("1::Léon (1994)::Drama\n".encode("latin-1"))
    call("load", "movies", "--files", path, "--encoding", "latin-1", "--format", "colons")
    assert query(source_db, "SELECT title FROM movies") == [("Léon",)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ratings", "--scale", "ten"), "--scale 'ten' is not a scale"),
        (("ratings", "--format", "u.item"), "--format u.item is for another kind of rows"),
        (("movies", "--format", "u.data"), "--format u.data is for another kind of rows"),
        (("ratings", "--map", "price=P"), "no column 'price' to load"),
        (("movies", "--encoding", "utf-99"), "no encoding 'utf-99'"),
    ],
)
def test_options_that_make_no_sense(call, tmp_path, arguments, message):
    path = write(tmp_path / "ratings.dat", f"1::1::8::{AT}")
    with pytest.raises(ConfigError) as failed:
        call("load", arguments[0], "--files", path, *arguments[1:])
    assert message in str(failed.value)
    assert failed.value.remedy


def test_simulate_ratings_fills_the_tables_and_its_files_load_to_the_same(
    call, source_db, tmp_path
):
    wanted = (
        "simulate-ratings",
        "--days",
        5,
        "--users",
        60,
        "--movies",
        40,
        "--start",
        "2018-05-01",
    )
    output = call(*wanted)
    counts = dict(
        query(source_db, "SELECT interaction_type, count(*) FROM user_interactions GROUP BY 1")
    )
    ((films,),) = query(source_db, "SELECT count(*) FROM movies")
    assert (
        f"{counts['view']:,} views, {counts['rating']:,} ratings and {counts['like']:,} likes "
        f"of {films} movies" in output
    )
    days = "SELECT min(timestamp)::date::text, max(timestamp)::date::text FROM user_interactions"
    assert query(source_db, days) == [("2018-05-01", "2018-05-05")]
    assert call(*wanted, "--to", tmp_path / "out") == output
    for what, folder in (("interactions", "user_interactions"), ("movies", "movies")):
        loaded = call("load", what, "--files", tmp_path / "out" / folder / "*.parquet")
        assert "written: 0 rows new or changed" in loaded


def test_simulate_ratings_to_files_needs_no_database(tmp_path, monkeypatch):
    monkeypatch.delenv("NIGHTSHIFT_SOURCE_DSN", raising=False)
    monkeypatch.setenv("NIGHTSHIFT_HOME", str(tmp_path))
    result = CliRunner().invoke(
        app, ["simulate-ratings", "--days", "1", "--users", "30", "--to", str(tmp_path / "out")]
    )
    assert result.exit_code == 0, result.output
    for table in ("user_interactions", "movies"):
        assert (tmp_path / "out" / table / "2018-04-01.parquet").exists()


@pytest.mark.parametrize(
    "command",
    [("simulate-ratings",), ("load", "ratings"), ("load", "movies"), ("load", "interactions")],
)
def test_every_command_of_movies_has_help_with_an_example(command):
    result = CliRunner().invoke(app, [*command, "--help"])
    assert result.exit_code == 0
    assert f"Example: nightshift source {' '.join(command)}" in result.output
