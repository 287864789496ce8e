"""Loading ratings and movies: the formats they come in, and what is wrong with their rows."""

from __future__ import annotations

import csv
import gzip
from contextlib import closing
from datetime import UTC, datetime

import psycopg2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.core.errors import ConfigError, DataError
from jobs.source.csv_file import CsvFormat
from jobs.source.load import load
from jobs.source.request import Request
from jobs.usecases.movies.operational.formats import Format
from jobs.usecases.movies.operational.movielens import GENRES, MOVIES, RATINGS, Opener
from jobs.usecases.movies.operational.readings import interactions, movies, parse_scale, ratings
from jobs.usecases.movies.operational.tables import MOVIES as MOVIES_TABLE
from jobs.usecases.movies.operational.tables import TABLES, USER_INTERACTIONS

AT = 1365029107
TIME = datetime(2013, 4, 3, 22, 45, 7, tzinfo=UTC)
RATED = "SELECT user_id, movie_id, value FROM user_interactions ORDER BY id"
FILMS = "SELECT * FROM movies ORDER BY movie_id"


@pytest.fixture
def rows(source_db):
    def query(text):
        with (
            closing(psycopg2.connect(source_db, options="-c timezone=UTC")) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(text)
            return cursor.fetchall()

    return query


@pytest.fixture
def file(tmp_path):
    def write(name, *lines, encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes("".join(f"{line}\n" for line in lines).encode(encoding))
        return path

    return write


@pytest.fixture
def run(source_db, tmp_path):
    def load_files(reading, *paths, table=USER_INTERACTIONS, **options):
        request = Request(
            table,
            tuple(map(str, paths)),
            reading=reading,
            others=TABLES,
            **{"max_bad_fraction": 1.0} | options,
        )
        summary = load(
            source_db, request, tmp_path / "rejects" / "bad.csv", lambda stage, share: None
        )
        assert summary.read == summary.loaded + summary.duplicates + sum(summary.rejected.values())
        return summary

    return load_files


@pytest.fixture
def run_ratings(run):
    return lambda *paths, **options: run(
        options.pop("reading", None) or ratings(), *paths, **options
    )


@pytest.fixture
def run_movies(run):
    return lambda *paths, **options: run(
        options.pop("reading", None) or movies(), *paths, table=MOVIES_TABLE, **options
    )


@pytest.fixture
def rejects(tmp_path):
    def read():
        with (tmp_path / "rejects" / "bad.csv").open(newline="") as stream:
            return [
                (int(row["line"]), row["reason"], row["value"]) for row in csv.DictReader(stream)
            ]

    return read


def remarked(summary, word):
    (count,) = (count for text, count in summary.remarks.items() if word in text)
    return count


# Every way in which the same three ratings come, as (name of the file, its lines).
THREE = [("1", "0011", "8", AT), ("1", "0012", "7.5", AT + 1), ("2", "0011", "0", AT + 2)]
RATING_FILES = [
    ("ratings.dat", ["::".join(map(str, row)) for row in THREE]),
    ("u.data", ["\t".join(map(str, row)) for row in THREE]),
    ("u1.base", ["\t".join(map(str, row)) for row in THREE]),
    (
        "ratings.csv",
        ["userId,movieId,rating,timestamp", *(",".join(map(str, row)) for row in THREE)],
    ),
    (
        "own.csv",
        [
            "user_id,movie_id,value,timestamp",
            *(
                f"{user},{movie},{value},{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"
                for user, movie, value, at in THREE
            ),
        ],
    ),
]


@pytest.mark.parametrize(("name", "lines"), RATING_FILES, ids=[name for name, _ in RATING_FILES])
def test_ratings_are_the_same_whatever_file_they_come_in(run_ratings, rows, file, name, lines):
    summary = run_ratings(file(name, *lines))
    assert (summary.read, summary.loaded, summary.written, summary.ignored) == (3, 3, 3, ())
    assert rows("SELECT * FROM user_interactions ORDER BY id")[0] == (
        f"1:0011:{AT}",
        "1",
        "0011",
        "rating",
        8.0,
        TIME,
        None,
    )
    assert rows(RATED) == [("1", "0011", 8.0), ("1", "0012", 7.5), ("2", "0011", 0.0)]
    assert run_ratings(file(name, *lines)).written == 0


@pytest.mark.parametrize("times", ["int64", "double", "timestamp"])
def test_ratings_in_parquet(run_ratings, rows, tmp_path, times):
    at = pa.array([row[3] for row in THREE])
    stamps = at.cast(pa.timestamp("s")) if times == "timestamp" else at.cast(times)
    frame = {"userId": [1, 1, 2], "movieId": ["0011", "0012", "0011"], "rating": [8.0, 7.5, 0.0]}
    pq.write_table(pa.table({**frame, "timestamp": stamps}), tmp_path / "ratings.parquet")
    assert run_ratings(tmp_path / "ratings.parquet").loaded == 3
    assert rows("SELECT id, value, timestamp FROM user_interactions ORDER BY id")[0] == (
        f"1:0011:{AT}",
        8.0,
        TIME,
    )


@pytest.mark.parametrize("block", [8, 30, 1 << 22])
def test_the_movie_of_netflixs_ratings_is_known_across_blocks(file, block, monkeypatch):
    lines = ["7:", "1,3,2005-09-06", "2,4,2005-09-07", "broken", "8:", "1,5,2005-09-08", "9:"]
    path = file("combined_data_1.txt", *lines)
    opened = Opener(RATINGS)(path, CsvFormat())
    monkeypatch.setattr(opened._lines._file, "_block", block)
    rows, malformed = {}, {}
    for batch in opened.batches(["user_id", "movie_id", "value"]):
        rows |= dict(zip(batch.rows.tolist(), batch.data.to_pylist(), strict=True))
        malformed |= {row.row: row.reason for row in batch.malformed}
    assert malformed == {4: "is not user,rating,date"}
    assert {line: (*row.values(),) for line, row in rows.items()} == {
        2: ("1", "7", "3"),
        3: ("2", "7", "4"),
        6: ("1", "8", "5"),
    }


def test_a_rating_of_netflix_before_any_movie_is_rejected(run_ratings, rows, file, rejects):
    path = file("ratings.txt", "1,3,2005-09-06", "7:", "1,3,2005-09-06")
    run_ratings(path, reading=ratings(Opener(RATINGS, Format.netflix)))
    assert rejects() == [(1, "movie_id is missing", "")]
    assert rows(RATED) == [("1", "7", 3.0)]


def test_a_compressed_file_and_a_named_format(run_ratings, rows, tmp_path):
    path = tmp_path / "ratings.txt.gz"
    path.write_bytes(gzip.compress(f"1::0011::8::{AT}\n".encode()))
    run_ratings(path)
    run_ratings(path, reading=ratings(Opener(RATINGS, Format.colons)))
    assert rows(RATED) == [("1", "0011", 8.0)]


def test_a_format_of_the_other_kind_is_told():
    with pytest.raises(ConfigError, match=r"u\.item is for another kind of rows"):
        Opener(RATINGS, Format.u_item)
    with pytest.raises(ConfigError, match=r"u\.data is for another kind of rows"):
        Opener(MOVIES, Format.u_data)


def test_ratings_outside_the_scale_are_rejected(run_ratings, rows, file, rejects):
    values = ["0", "10", "-1", "10.5", "eight", "NaN", "", "1e999"]
    path = file(
        "ratings.dat", *(f"{user}::1::{value}::{AT}" for user, value in enumerate(values, start=1))
    )
    run_ratings(path)
    assert sorted(rejects()) == [
        (3, "value is outside the scale 0..10", "-1"),
        (4, "value is outside the scale 0..10", "10.5"),
        (5, "value is not a number", "eight"),
        (6, "value is NaN or infinite", "NaN"),
        (7, "value is missing", ""),
        (8, "value is NaN or infinite", "1e999"),
    ]
    assert rows(RATED) == [("1", "1", 0.0), ("2", "1", 10.0)]


def test_the_scale_is_an_option(run_ratings, rows, file, rejects):
    path = file("ratings.dat", f"1::1::5::{AT}", f"2::1::5.5::{AT}", f"3::1::0::{AT}")
    run_ratings(path, reading=ratings(scale=parse_scale("0.5..5")))
    assert [reason for _, reason, _ in rejects()] == ["value is outside the scale 0.5..5"] * 2
    assert rows(RATED) == [("1", "1", 5.0)]


@pytest.mark.parametrize("text", ["5", "5..1", "1..1", "a..b", "1-5", ".."])
def test_no_scale(text):
    with pytest.raises(ConfigError, match="is not a scale"):
        parse_scale(text)


def test_times_far_outside_are_rejected(run_ratings, rows, file, rejects):
    tomorrow = int(datetime.now(UTC).timestamp()) + 86_400
    times = [
        AT,
        0,
        -1,
        AT * 1000,
        tomorrow + 2 * 86_400,
        "soon",
        "",
        "9" * 30,
        "20130403",
        tomorrow,
    ]
    run_ratings(
        file("ratings.dat", *(f"u{row}::1::5::{at}" for row, at in enumerate(times, start=1)))
    )
    reasons = {row: reason for row, reason, _ in rejects()}
    assert reasons.keys() == {2, 3, 4, 5, 6, 7, 8, 9}
    assert {reasons[row].partition(" and ")[0] for row in (2, 3, 5, 9)} == {
        "timestamp is not between 1990-01-01"
    }
    assert (
        reasons[4] == reasons[8] == "timestamp is beyond the year 9999, too many digits for seconds"
    )
    assert (reasons[6], reasons[7]) == ("timestamp is not an ISO 8601 time", "timestamp is missing")
    assert {user for user, _, _ in rows(RATED)} == {"u1", "u10"}


def test_broken_lines_and_missing_ids_are_rejected_and_keep_their_numbers(
    run_ratings, rows, file, rejects
):
    path = file(
        "ratings.dat",
        f"1::1::5::{AT}",
        "cut::sho",
        f"::1::5::{AT}",
        f"1::::5::{AT}",
        f"1::2::5::{AT}::x",
        f"2::1::5::{AT}",
    )
    run_ratings(path)
    assert sorted(rejects()) == [
        (2, "is not user::movie::rating::seconds", "cut::sho"),
        (3, "user_id is missing", ""),
        (4, "movie_id is missing", ""),
        (5, "timestamp is not an ISO 8601 time", f"{AT}::x"),
    ]
    assert rows(RATED) == [("1", "1", 5.0), ("2", "1", 5.0)]


def test_a_short_line_of_u_data(run_ratings, file, rejects):
    run_ratings(file("u.data", f"1\t1\t5\t{AT}", "1\t2\t5", f'2\t"1\t5\t{AT}'))
    assert rejects() == [(2, "has 3 columns where there should be 4", "1\t2\t5")]


def test_too_many_bad_ratings_load_nothing(run_ratings, rows, file):
    with pytest.raises(
        DataError, match=r"1 of 2 rows cannot be loaded.*1 × value is outside the scale"
    ):
        run_ratings(
            file("ratings.dat", f"1::1::5::{AT}", f"1::2::11::{AT}"), max_bad_fraction=0.001
        )
    assert rows("SELECT to_regclass('user_interactions')") == [(None,)]


def test_ratings_of_unknown_movies_are_loaded_and_counted(run_ratings, run_movies, rows, file):
    run_movies(file("movies.dat", "1::Heat (1995)::Crime"))
    summary = run_ratings(file("ratings.dat", f"1::1::5::{AT}", f"1::2::5::{AT}", f"2::2::5::{AT}"))
    assert (summary.loaded, remarked(summary, "table movies does not have")) == (3, 2)
    assert len(rows(RATED)) == 3


def test_a_user_never_seen_before_is_loaded_like_any_other(run_ratings, rows, file):
    run_ratings(file("one.dat", f"1::1::5::{AT}"))
    summary = run_ratings(file("two.dat", f"nobody knows her::1::6::{AT}"))
    assert (summary.written, summary.rejected) == (1, {})
    assert rows(RATED) == [("1", "1", 5.0), ("nobody knows her", "1", 6.0)]


def test_equal_ratings_are_dropped_and_later_ones_of_the_same_movie_are_kept_and_counted(
    run_ratings, rows, file
):
    lines = [
        f"1::1::5::{AT}",
        f"1::1::5::{AT}",
        f"1::1::5.0::{AT}",
        f"1::1::8::{AT + 9}",
        f"2::1::3::{AT}",
    ]
    summary = run_ratings(file("ratings.dat", *lines))
    assert (summary.loaded, summary.duplicates, remarked(summary, "the last one counts")) == (
        3,
        2,
        1,
    )
    last = (
        "SELECT DISTINCT ON (user_id) user_id, value FROM user_interactions "
        "ORDER BY user_id, timestamp DESC"
    )
    assert rows(last) == [("1", 8.0), ("2", 3.0)]


def test_a_rating_that_comes_again_in_another_file_is_counted_too(run_ratings, file):
    assert remarked(run_ratings(file("a.dat", f"1::1::5::{AT}")), "the last one counts") == 0
    assert remarked(run_ratings(file("b.dat", f"1::1::6::{AT + 5}")), "the last one counts") == 1


def test_two_ratings_of_one_second_contradict_each_other(run_ratings, rows, file, rejects):
    run_ratings(file("ratings.dat", f"1::1::5::{AT}", f"1::1::6::{AT}", f"1::2::6::{AT}"))
    assert [reason for _, reason, _ in rejects()] == ["id occurs again with different content"] * 2
    assert rows(RATED) == [("1", "2", 6.0)]


def test_a_corrected_rating_replaces_the_one_of_the_same_second(run_ratings, rows, file):
    run_ratings(file("a.dat", f"1::1::5::{AT}"))
    assert run_ratings(file("b.dat", f"1::1::6::{AT}")).written == 1
    assert rows(RATED) == [("1", "1", 6.0)]


def test_a_user_with_thousands_of_ratings(run_ratings, rows, file):
    lines = [f"1::{movie:07}::{movie % 11}::{AT + movie}" for movie in range(5000)]
    assert run_ratings(file("ratings.dat", *lines)).written == 5000
    count = (
        "SELECT count(*), count(DISTINCT movie_id), sum(value) FROM user_interactions "
        "WHERE user_id = '1'"
    )
    assert rows(count) == [(5000, 5000, sum(movie % 11 for movie in range(5000)))]


def test_a_day_with_one_rating(run_ratings, rows, file):
    run_ratings(
        file("ratings.dat", f"1::1::5::{AT}", f"1::2::5::{AT + 86_400}", f"2::2::5::{AT + 86_400}")
    )
    days = "SELECT timestamp::date::text, count(*) FROM user_interactions GROUP BY 1 ORDER BY 1"
    assert rows(days) == [("2013-04-03", 1), ("2013-04-04", 2)]


# The titles of movies ------------------------------------------------------------------------


def item(number, title, genres=(), unknown=0):
    flags = "|".join(str(int(genre in genres)) for genre in GENRES)
    return f"{number}|{title}|01-Jan-1995||http://example.org|{unknown}|{flags}"


MOVIE_FILES = [
    ("movies.dat", ["0011::Heat (1995)::Crime|Drama", "0012::Nowhere::"]),
    (
        "u.item",
        [item("0011", "Heat (1995)", ("Crime", "Drama")), item("0012", "Nowhere", unknown=1)],
    ),
    (
        "movies.csv",
        ["movieId,title,genres", "0011,Heat (1995),Crime|Drama", "0012,Nowhere,(no genres listed)"],
    ),
    ("own.csv", ["movie_id,title,year,genres", "0011,Heat,1995,Crime|Drama", "0012,Nowhere,,"]),
    (
        "pandas.csv",
        ["movie_id,title,year,genres", "0011,Heat,1995.0,Crime|Drama", "0012,Nowhere,,"],
    ),
]


@pytest.mark.parametrize(("name", "lines"), MOVIE_FILES, ids=[name for name, _ in MOVIE_FILES])
def test_movies_are_the_same_whatever_file_they_come_in(run_movies, rows, file, name, lines):
    summary = run_movies(file(name, *lines))
    assert rows(FILMS) == [("0011", "Heat", 1995, "Crime|Drama"), ("0012", "Nowhere", None, None)]
    assert (remarked(summary, "no genre"), remarked(summary, "no year")) == (1, 1)
    assert run_movies(file(name, *lines)).written == 0


def test_movies_in_parquet(run_movies, rows, tmp_path):
    frame = {
        "movieId": [11, 12],
        "title": ["Heat", "Nowhere"],
        "year": pa.array([1995, None], pa.int16()),
    }
    pq.write_table(
        pa.table({**frame, "genres": ["Crime|Drama", "(no genres listed)"]}), tmp_path / "m.parquet"
    )
    run_movies(tmp_path / "m.parquet")
    assert rows(FILMS) == [("11", "Heat", 1995, "Crime|Drama"), ("12", "Nowhere", None, None)]


@pytest.mark.parametrize(
    ("written", "title", "year"),
    [
        (
            "Fantômas - À l'ombre de la guillotine (1913)",
            "Fantômas - À l'ombre de la guillotine",
            1913,
        ),
        ("千と千尋の神隠し (2001)", "千と千尋の神隠し", 2001),
        ("Ночной дозор (2004)", "Ночной дозор", 2004),
        ("مکس (2002)", "مکس", 2002),
        ("🎬 Zoë’s “Café” ‒ ½ (2015)", "🎬 Zoë’s “Café” ‒ ½", 2015),
        ("e\u0301 combining (2000)", "e\u0301 combining", 2000),
        ("Alien::Nation (1988)", "Alien::Nation", 1988),
        ("::Odd:: one: (1990)", "::Odd:: one:", 1990),
        ('"Quotes" and, commas (1999)', '"Quotes" and, commas', 1999),
        ('One " quote (1999)', 'One " quote', 1999),
        ("Heat (the TV cut) (1995)  ", "Heat (the TV cut)", 1995),
        ("1984 (1984)", "1984", 1984),
        ("2001: A Space Odyssey", "2001: A Space Odyssey", None),
        ("(1999)", "(1999)", None),
        ("Series (1997–2003)", "Series", 1997),
        ("Running (2009– )", "Running", 2009),
        ("Land Before Time III (1995) (V)", "Land Before Time III", 1995),
        ("Year of four (19999)", "Year of four (19999)", None),
    ],
)
def test_titles_with_any_unicode_and_separators_inside(
    run_movies, rows, file, written, title, year
):
    lines = ["1::First (1900)::Drama", f"2::{written}::Drama|War", "3::Last (1901)::Drama"]
    assert run_movies(file("movies.dat", *lines)).rejected == {}
    assert rows(FILMS) == [
        ("1", "First", 1900, "Drama"),
        ("2", title, year, "Drama|War"),
        ("3", "Last", 1901, "Drama"),
    ]


def test_movies_without_id_title_or_separators_are_rejected(run_movies, rows, file, rejects):
    run_movies(
        file(
            "movies.dat", "1::Heat (1995)::", "::Heat (1995)::Crime", "2:: ::Crime", "3:Heat:Crime"
        )
    )
    assert sorted(rejects()) == [
        (2, "movie_id is missing", ""),
        (3, "title is missing", " "),
        (4, "is not movie::title::genres", "3:Heat:Crime"),
    ]
    assert rows(FILMS) == [("1", "Heat", 1995, None)]


@pytest.mark.parametrize("year", ["nineteen", "1999.5", "99999999999", "1e3"])
def test_a_year_that_is_none(run_movies, file, rejects, year):
    run_movies(file("movies.csv", "movie_id,title,year", f"1,Heat,{year}"))
    reason = "does not fit an integer" if year.isdigit() else "is not a whole number"
    assert rejects() == [(2, f"year {reason}", year)]


def test_a_movie_that_contradicts_itself(run_movies, rows, file, rejects):
    run_movies(
        file(
            "movies.dat", "1::Heat (1995)::Crime", "1::Heat (1986)::Crime", "2::Heat::", "2::Heat::"
        )
    )
    reason = "movie_id occurs again with different content"
    assert rejects() == [(1, reason, "1"), (2, reason, "1")]
    assert rows(FILMS) == [("2", "Heat", None, None)]


def test_latin_1_is_told_and_read_when_named_and_is_what_u_item_is_in(run_movies, rows, file):
    path = file("movies.dat", "1::Léon (1994)::Drama", encoding="latin-1")
    with pytest.raises(DataError, match="are no utf-8 text"):
        run_movies(path)
    run_movies(path, csv=CsvFormat("latin-1"))
    run_movies(file("u.item", item("2", "Léolo (1992)", ("Drama",)), encoding="latin-1"))
    run_movies(
        file("u.item", item("3", "Amélie (2001)")), reading=movies(Opener(MOVIES, item="utf-8"))
    )
    assert [row[:3] for row in rows(FILMS)] == [
        ("1", "Léon", 1994),
        ("2", "Léolo", 1992),
        ("3", "Amélie", 2001),
    ]


def test_an_empty_file(run_movies, file):
    with pytest.raises(DataError, match="the file is empty"):
        run_movies(file("movies.dat"))


def test_interactions_of_any_type_with_metadata(run, rows, file, rejects):
    path = file(
        "interactions.csv",
        "id,user_id,movie_id,interaction_type,value,timestamp,metadata",
        'a,1,1,view,,2018-04-01,"{""watch_time_s"": 5400}"',
        "b,1,1,rating,7.5,2018-04-01,",
        "c,1,1,like,,2018-04-01,{half",
        'd,1,1,like,,2018-04-01,"{""x"": NaN}"',
        r'e,1,1,like,,2018-04-01,"{""x"": ""\u0000""}"',
        r'f,1,1,like,,2018-04-01,"{""x"": ""\ud800""}"',
    )
    run(interactions(), path)
    assert rows("SELECT id, value, metadata FROM user_interactions ORDER BY id") == [
        ("a", None, {"watch_time_s": 5400}),
        ("b", 7.5, None),
    ]
    assert {reason for _, reason, _ in rejects()} == {"metadata is not JSON that a database holds"}
    assert [row for row, _, _ in rejects()] == [4, 5, 6, 7]
