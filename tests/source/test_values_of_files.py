"""Ids, labels, missing values and dates of real exports: loaded correctly, noted, or refused."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import psycopg2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from jobs.cli.source import app
from jobs.core.errors import ConfigError, DataError
from jobs.source.convert import convert
from jobs.source.dialect import Dialect, TimeUnit
from jobs.source.mapping import parse_pairs

HEADER = "transaction_id,event_time,customer_id,merchant_id,amount,currency,country,device_type"
LOST = "is a float, which cannot hold an id of this size: write integers or text"


@pytest.fixture
def load(source_db, tmp_path, monkeypatch):
    monkeypatch.setenv("NIGHTSHIFT_SOURCE_DSN", source_db)
    monkeypatch.setenv("NIGHTSHIFT_HOME", str(tmp_path / "home"))

    def call(*arguments, table="transactions"):
        words = ["load", table, *map(str, arguments)]
        result = CliRunner().invoke(app, words, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    return call


@pytest.fixture
def query(source_db):
    def rows(text):
        with (
            closing(psycopg2.connect(source_db, options="-c timezone=UTC")) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(text)
            return cursor.fetchall()

    return rows


@pytest.fixture
def file(tmp_path):
    def write(name, *lines):
        path = tmp_path / name
        path.write_text("\n".join([*lines, ""]))
        return path

    return write


@pytest.mark.parametrize(
    ("kind", "first"), [(pa.float64(), 2**53), (pa.float32(), 2**24), (pa.float16(), 2**11)]
)
@pytest.mark.parametrize("sign", [1, -1])
def test_an_id_that_a_float_cannot_hold_is_refused_and_others_are_integers(kind, first, sign):
    floats = [float(sign * (first - 1)), float(sign * first), float(sign * first * 2), None, 596.0]
    converted = convert("id", pa.array(floats).cast(kind), Dialect())
    assert converted.values.to_pylist() == [str(sign * (first - 1)), None, None, None, "596"]
    assert converted.problems[LOST].tolist() == [False, True, True, False, False]


def test_float_ids_in_a_dictionary_are_no_exception():
    values = pa.array([2.0**60, 7.0]).dictionary_encode()
    assert convert("id", values, Dialect()).values.to_pylist() == [None, "7"]


def test_customers_beyond_the_floats_load_nothing(load, query, tmp_path):
    frame = {
        "transaction_id": ["a", "b", "c"],
        "event_time": [datetime(2018, 7, 10)] * 3,
        "customer_id": [1234567890123456789.0, 1234567890123456790.0, 1234567890123456800.0],
    }
    pq.write_table(pa.table(frame), tmp_path / "rows.parquet")
    with pytest.raises(DataError, match=f"3 × customer_id {LOST}"):
        load("--files", tmp_path / "rows.parquet")
    assert query("SELECT to_regclass('transactions')") == [(None,)]


def test_a_lone_quote_loses_no_row_of_a_load(load, query, file, tmp_path):
    lines = [f"T{row},2018-07-10 10:00,C,1,5,EUR,DE,web" for row in range(2, 2000)]
    path = file("rows.csv", HEADER, 'T1,2018-07-10 10:00,C,1,5,EUR,DE,"Bella', *lines)
    report = load("--files", path)
    assert "read 1,999 rows of 1 file = 1,998 loaded + 0 duplicates + 1 rejected" in report
    (rejects,) = (tmp_path / "home" / "rejects").iterdir()
    assert f"{path},2,has a quote that is still open at its end" in rejects.read_text()
    assert "2,000 loaded" not in report
    assert "read 1,999 rows of 1 file = 1,999 loaded" in load("--files", path, "--no-quotes")
    assert query("SELECT device_type FROM transactions WHERE transaction_id = 'T1'") == [
        ('"Bella',)
    ]


def test_a_text_with_a_line_break_is_rejected(load, query, file, tmp_path):
    path = file(
        "rows.csv",
        HEADER,
        'T1,2018-07-10,C,1,5,EUR,DE,"two',
        'lines"',
        "T2,2018-07-10,C,1,5,EUR,DE,web",
    )
    report = load("--files", path, "--max-bad-fraction", "0.5")
    assert "rejected: 1 × device_type holds a line break" in report
    assert query("SELECT transaction_id FROM transactions") == [("T2",)]


def test_odd_ids_are_noted_with_counts_and_the_options_that_mend_them(load, query, file):
    customers = ["596.0", "596", "NULL", r"\N", "nan", "1.5e+18"]
    rows = [
        f"T{row},2018-07-10,{customer},m,1,EUR,NA,web" for row, customer in enumerate(customers)
    ]
    path = file("rows.csv", HEADER, *rows)
    report = load("--files", path)
    for word in ("NULL", r"\N", "nan"):
        assert (
            f"note: 1 values of customer_id are the text {word}: --null '{word}' makes them missing"
            in report
        )
    assert "note: 1 values of customer_id are written like 596.0, another id than 596" in report
    assert (
        "note: 1 values of customer_id are written like 1.23e+18, which may have lost digits"
        in report
    )
    assert "country" not in report  # NA is Namibia
    options = (
        "--integer-ids",
        "--null",
        "NULL",
        "--null",
        r"\N",
        "--null",
        "nan",
        "--max-bad-fraction",
        "0.2",
    )
    mended = load("--files", path, *options)
    assert (
        "rejected: 1 × customer_id is written like 1.23e+18, which may have lost digits" in mended
    )
    assert "are the text" not in mended
    assert "596.0" not in mended
    counts = "SELECT customer_id, count(*) FROM transactions GROUP BY 1 ORDER BY 1"
    assert query(counts) == [("1.5e+18", 1), ("596", 2), (None, 3)]


@pytest.mark.parametrize(
    "values",
    [
        ["0", "1"],
        ["0.0", "1.0"],
        ["0.", "1.000"],
        ["false", "TRUE"],
        ["No", "Yes"],
        ["n", "y"],
        ["f", "t"],
        [0, 1],
        [0.0, 1.0],
        [Decimal("0.00"), Decimal("1.00")],
        [False, True],
    ],
)
def test_labels_in_any_words(values):
    converted = convert("flag", pa.array(values), Dialect())
    assert converted.values.to_pylist() == [False, True]
    assert not any(wrong.any() for wrong in converted.problems.values())


@pytest.mark.parametrize("value", ["2", "0.5", "10", "-1", "1.0.0", "fraud"])
def test_what_is_no_label(value):
    assert convert("flag", pa.array([value]), Dialect()).values.to_pylist() == [None]


def test_a_correction_changes_the_columns_that_it_has(load, query, file):
    load(
        "--files",
        file(
            "rows.csv", HEADER, "T1,2018-07-10,C,M,5,EUR,DE,web", "T2,2018-07-10,C,M,5,EUR,DE,web"
        ),
    )
    report = load(
        "--files",
        file(
            "correction.csv",
            "transaction_id,event_time,amount",
            "T1,2018-07-10,7.5",
            "T9,2018-07-11,1",
        ),
    )
    assert "written: 2 rows new or changed" in report
    assert "warning: no column for customer_id: validate quarantines new rows without it" in report
    assert query(
        "SELECT transaction_id, customer_id, amount, country FROM transactions ORDER BY 1"
    ) == [
        ("T1", "C", Decimal("7.50"), "DE"),
        ("T2", "C", Decimal("5.00"), "DE"),
        ("T9", None, Decimal("1.00"), None),
    ]


def test_a_correction_of_titles_keeps_the_genres(load, query, file):
    load("--files", file("m.csv", "movie_id,title,genres", "1,Heet (1995),Crime"), table="movies")
    load("--files", file("n.csv", "movie_id,title", "1,Heat (1995)"), table="movies")
    assert query("SELECT * FROM movies") == [("1", "Heat", 1995, "Crime")]


def test_a_file_that_lacks_a_column_of_another_is_refused_unless_that_is_allowed(load, query, file):
    load("--files", file("rows.csv", HEADER, "T2,2018-07-10,C,M,5,EUR,DE,web"))
    one = file("1.csv", "transaction_id,event_time,amount,country", "T1,2018-07-10,1,FR")
    two = file("2.csv", "transaction_id,event_time,amount,land", "T2,2018-07-10,2,FR")
    with pytest.raises(DataError, match="it has no column for country, which") as failed:
        load("--files", one, two)
    assert f"Input: {two}" in str(failed.value)
    assert "--allow-missing-columns" in str(failed.value)
    load("--files", one, two, "--allow-missing-columns")
    assert query("SELECT transaction_id, amount, country FROM transactions ORDER BY 1") == [
        ("T1", Decimal("1.00"), "FR"),
        ("T2", Decimal("2.00"), "DE"),
    ]


def test_headers_are_trimmed_and_may_hold_commas(load, query, file, tmp_path):
    path = file("rows.csv", 'transaction_id , event_time,"Amount, EUR"', "T1,2018-07-10,7.5")
    report = load("--files", path, "--map", "amount=Amount, EUR")
    assert "warning: no column for merchant_id" in report
    assert "warning: no column for country: it is an empty feature of the fraud model" in report
    assert "card_last_4" not in report
    pq.write_table(
        pa.table(
            {
                " transaction_id": ["T2"],
                "event_time ": [datetime(2018, 7, 10)],
                "Amount, EUR ": [8.5],
            }
        ),
        tmp_path / "rows.parquet",
    )
    load("--files", tmp_path / "rows.parquet", "--map", 'amount="Amount, EUR"')
    assert query("SELECT transaction_id, amount FROM transactions ORDER BY 1") == [
        ("T1", Decimal("7.50")),
        ("T2", Decimal("8.50")),
    ]


@pytest.mark.parametrize(
    ("options", "pairs"),
    [
        (["a=A,b=B"], {"a": "A", "b": "B"}),
        (["a=A, EUR,b=B"], {"a": "A, EUR", "b": "B"}),
        (['a="A, b=C",b="say ""x""" , c=D,'], {"a": "A, b=C", "b": 'say "x"', "c": "D"}),
        (["a={X}-{Y:02}, {Z}", " b = B "], {"a": "{X}-{Y:02}, {Z}", "b": "B"}),
        (["a==x"], {"a": "=x"}),
        ([" "], {}),
    ],
)
def test_pairs(options, pairs):
    assert parse_pairs(options, "--map") == pairs


@pytest.mark.parametrize("text", ["a", "=A", "a=", "a=,b=B", 'a=""'])
def test_what_is_no_pair(text):
    with pytest.raises(ConfigError, match="is not name=value"):
        parse_pairs([text], "--map")


def test_a_date_of_a_report_is_the_end_of_that_day(load, query, file, tmp_path):
    load(
        "--files",
        file(
            "rows.csv",
            HEADER,
            "T1,2018-07-10 23:30:00,C,M,5,EUR,DE,web",
            "T2,2018-07-10,C,M,5,EUR,DE,web",
        ),
    )
    dated = file(
        "l.csv",
        "transaction_id,is_fraud,reported_at",
        "T1,1,2018-07-10",
        "T2,1,2018-07-10 12:00:00",
    )
    assert "before their transaction" not in load("--files", dated, table="labels")
    reported = "SELECT reported_at FROM fraud_labels ORDER BY transaction_id"
    assert query(reported) == [
        (datetime(2018, 7, 10, 23, 59, 59, 999_999, UTC),),
        (datetime(2018, 7, 10, 12, tzinfo=UTC),),
    ]
    midnight = file("m.csv", "transaction_id,is_fraud,reported_at", "T1,1,2018-07-10 00:00:00")
    assert "note: 1 labels are reported before their transaction" in load(
        "--files", midnight, table="labels"
    )


@pytest.mark.parametrize(
    ("day", "zone", "end"),
    [
        (date(2018, 7, 10), "UTC", datetime(2018, 7, 10, 23, 59, 59, 999_999, UTC)),
        (date(2018, 7, 10), "Europe/Berlin", datetime(2018, 7, 10, 21, 59, 59, 999_999, UTC)),
        # In São Paulo clocks went forward at midnight: the day before ends there, and this one
        # begins at 01:00.
        (date(2018, 11, 3), "America/Sao_Paulo", datetime(2018, 11, 4, 2, 59, 59, 999_999, UTC)),
        # In Havana they go back at 01:00: midnight comes twice, and the day ends before the first.
        (date(2018, 11, 3), "America/Havana", datetime(2018, 11, 4, 3, 59, 59, 999_999, UTC)),
    ],
)
def test_the_end_of_a_day_in_every_zone_and_type(day, zone, end):
    for values in (pa.array([day]), pa.array([day], pa.date64()), pa.array([day.isoformat()])):
        assert convert("report", values, Dialect(zone)).values.to_pylist() == [end]
    formatted = Dialect(zone, time_format="%d.%m.%Y")
    assert convert("report", pa.array([f"{day:%d.%m.%Y}"]), formatted).values.to_pylist() == [end]


@pytest.mark.parametrize(
    ("dialect", "text", "expected"),
    [
        (Dialect(unit=TimeUnit.ms), "1588615855070", datetime(2020, 5, 4, 18, 10, 55, 70_000, UTC)),
        (
            Dialect(unit=TimeUnit.ns),
            "1588615855070123456",
            datetime(2020, 5, 4, 18, 10, 55, 70_123, UTC),
        ),
        (Dialect(unit=TimeUnit.us), "-1", datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC)),
        (Dialect(epoch=datetime(2017, 12, 1)), "86400", datetime(2017, 12, 2, tzinfo=UTC)),
        (Dialect(epoch=datetime(2013, 9, 1)), "1e+05", datetime(2013, 9, 2, 3, 46, 40, tzinfo=UTC)),
        (
            Dialect(epoch=datetime(2017, 1, 1), unit=TimeUnit.h),
            "1.5",
            datetime(2017, 1, 1, 1, 30, tzinfo=UTC),
        ),
        (
            Dialect("Europe/Berlin", epoch=datetime(2017, 1, 1)),
            "0",
            datetime(2016, 12, 31, 23, tzinfo=UTC),
        ),
        (
            Dialect(time_format="%d/%m/%Y %H:%M"),
            "31/12/2018 23:59",
            datetime(2018, 12, 31, 23, 59, tzinfo=UTC),
        ),
        (
            Dialect(time_format="%m/%d/%y %I:%M %p %z"),
            "12/31/18 01:00 PM +0100",
            datetime(2018, 12, 31, 12, tzinfo=UTC),
        ),
    ],
)
def test_times_as_files_write_them(dialect, text, expected):
    assert convert("time", pa.array([text]), dialect).values.to_pylist() == [expected]


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("0002-01-01", "UTC"),
        ("1600-02-29 12:30:00", "UTC"),
        ("2263-01-01 00:00:00.000001", "America/New_York"),
        ("9999-12-30T23:59:59", "Europe/Berlin"),
    ],
)
def test_years_that_nanoseconds_do_not_reach(text, zone):
    time = datetime.fromisoformat(text)
    for column in (text, time):
        converted = convert("time", pa.array([column]), Dialect(zone))
        assert converted.values.to_pylist() == [time.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)]
    assert convert(
        "time", pa.array([f"{text[:10]} 00:00+01:00"]), Dialect()
    ).values.is_valid().to_pylist() == [True]


@pytest.mark.parametrize(
    ("dialect", "text", "number"),
    [
        (Dialect(strip="$"), "$-77.00", "-77.00"),
        (Dialect(strip="$,"), "-$1,234.50", "-1234.50"),
        (Dialect(strip="EUR. ", decimal=","), "1.234,50 EUR", "1234.50"),
        (Dialect(decimal=","), "12,50", "12.50"),
        (Dialect(strip="]^\\-"[:3]), "[5]", None),
    ],
)
def test_numbers_as_files_write_them(dialect, text, number):
    assert convert("money", pa.array([text]), dialect).values.to_pylist() == [number]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decimal": ";"}, "is not a decimal point"),
        ({"strip": "$."}, "would change numbers"),
        ({"time_format": "%Q"}, "describes no time"),
        ({"time_format": "d/m/Y"}, "describes no time"),
        ({"timezone": "Mars/Olympus"}, "no time zone"),
    ],
)
def test_options_of_values_that_make_no_sense(options, message):
    with pytest.raises(ConfigError, match=message):
        Dialect(**options)


def test_files_without_a_header_and_with_another_delimiter(load, query, file):
    path = file("rows.csv", "T1;2018-07-10;12,50", "T2;2018-07-10;1.000,00")
    with pytest.raises(DataError, match="the file has T1;2018-07-10;12, 50") as failed:
        load("--files", path)
    assert "--delimiter ';'" in str(failed.value)
    with pytest.raises(DataError, match="no column 'transaction_id'"):
        load("--files", path, "--delimiter", ";")
    options = (
        "--delimiter",
        ";",
        "--columns",
        "transaction_id,event_time,sum",
        "--map",
        "amount=sum",
    )
    load("--files", path, *options, "--decimal", ",", "--strip", ".")
    assert query("SELECT transaction_id, amount FROM transactions ORDER BY 1") == [
        ("T1", Decimal("12.50")),
        ("T2", Decimal("1000.00")),
    ]


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{Nope}", "no column 'Nope'"),
        ("{event_time!r}", "is not a template"),
        ("{event_time:>5}", "is not a template"),
    ],
)
def test_templates_that_are_wrong(load, file, template, message):
    with pytest.raises((DataError, ConfigError), match=message):
        load(
            "--files",
            file("rows.csv", "event_time", "2018-07-10"),
            "--map",
            f"transaction_id={template}",
        )


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_rows_may_have_no_value_of_their_own(load, query, file, tmp_path, kind):
    path = file("rows.csv", "x,y", "1,2", "3,4")
    if kind == "parquet":
        path = tmp_path / "rows.parquet"
        pq.write_table(pa.table({"x": [1, 3]}), path)
    load("--files", path, "--map", "transaction_id={@row:02}", "--const", "event_time=2018-07-10")
    first = 2 if kind == "csv" else 1
    ids = [(f"{first:02}",), (f"{first + 1:02}",)]
    assert query("SELECT transaction_id FROM transactions ORDER BY 1") == ids


def test_the_first_and_the_last_years_reach_the_database(load, query, file):
    times = ["0001-01-02 00:00:00", "1677-09-21", "2262-04-12", "9999-12-30 23:59:59.999999"]
    load(
        "--files",
        file(
            "rows.csv",
            "transaction_id,event_time",
            *(f"T{row},{time}" for row, time in enumerate(times)),
        ),
    )
    stored = "SELECT event_time FROM transactions ORDER BY transaction_id"
    assert query(stored) == [(datetime.fromisoformat(time).replace(tzinfo=UTC),) for time in times]


def test_composed_ids_are_the_same_when_the_file_is_loaded_again(load, query, file):
    path = file("rows.v1.csv", "event_time,a,{b}", "2018-07-10,7,x", "2018-07-10,,y")
    options = (
        "--map",
        "transaction_id={@file}-{@row:4}-{event_time},customer_id={a:03},device_type={b}",
    )
    load("--files", path, *options)
    assert "written: 0 rows" in load("--files", path, *options)
    assert query(
        "SELECT transaction_id, customer_id, device_type FROM transactions ORDER BY 1"
    ) == [
        ("rows-0002-2018-07-10", "007", "x"),
        ("rows-0003-2018-07-10", None, "y"),
    ]
