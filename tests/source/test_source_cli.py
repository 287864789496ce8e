"""`nightshift source` as a person types it."""

from __future__ import annotations

from contextlib import closing
from datetime import date, datetime

import psycopg2
import pytest
from typer.testing import CliRunner

from jobs.cli.source import app
from jobs.core.errors import ConfigError, DataError

T1 = "t1;2018-04-01 00:00:31;57.16;1"
T2 = "t2;2018-04-01 12:00:00;8.00;0"
MAP = ("--map", "transaction_id=ID, event_time=AT", "--map", "amount=EUR")


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
    with (
        closing(psycopg2.connect(dsn, options="-c timezone=UTC")) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(text)
        return cursor.fetchall()


def write(path, *lines):
    path.write_text("\n".join(["ID;AT;EUR;FRAUD", *lines, ""]))
    return path


def test_files_that_the_shell_expanded_and_a_report_of_every_row(call, source_db, tmp_path):
    one = write(tmp_path / "1.csv", T1, T2, "t3;never;1;0")
    two = write(tmp_path / "2.csv", T1, "t4;2018-04-02;3;0")
    output = call(
        *(
            "load",
            "transactions",
            "--files",
            one,
            two,
            *MAP,
            "--const",
            "currency=EUR",
            "--delimiter",
            ";",
        ),
        *(
            "--label-column",
            "FRAUD",
            "--label-delay-days",
            "2",
            "--labels",
            "all",
            "--max-bad-fraction",
            "0.2",
        ),
    )
    assert "read 5 rows of 2 files = 3 loaded + 1 duplicates + 1 rejected" in output
    assert "written: 3 rows new or changed, 3 labels new or changed" in output
    assert "rejected: 1 × event_time is not an ISO 8601 time" in output
    (rejects,) = (tmp_path / "home" / "rejects").glob("transactions-*.csv")
    assert str(rejects) in output
    assert (
        rejects.read_text().splitlines()[1] == f"{one},4,event_time is not an ISO 8601 time,never"
    )
    assert query(source_db, "SELECT count(*), min(currency) FROM transactions") == [(3, "EUR")]
    reported = (
        "SELECT reported_at::date - event_time::date, is_fraud FROM fraud_labels JOIN transactions "
        "USING (transaction_id)"
    )
    assert sorted(query(source_db, reported)) == [(2, False), (2, False), (2, True)]


def test_labels_and_a_tab(call, source_db, tmp_path):
    path = tmp_path / "chargebacks.tsv"
    path.write_text("tx\tbooked\tby\nt1\t2018-04-08 10:00:00\tme\n")
    output = call(
        *("load", "labels", "--files", path, "--delimiter", r"\t", "--const", "is_fraud=true"),
        *("--map", "transaction_id=tx,reported_at=booked", "--timezone", "Europe/Berlin"),
    )
    assert "columns not loaded: by" in output
    assert query(
        source_db, "SELECT transaction_id, is_fraud, reported_at::text FROM fraud_labels"
    ) == [("t1", True, "2018-04-08 08:00:00+00")]


def test_simulate_fills_the_tables(call, source_db):
    output = call("simulate", "--days", 20, "--customers", 100, "--start", "2018-05-01")
    transactions, frauds, first, last = query(
        source_db,
        "SELECT count(*), count(is_fraud), min(event_time)::date, max(event_time)::date"
        " FROM transactions LEFT JOIN fraud_labels USING (transaction_id)",
    )[0]
    assert (first, last) == (date(2018, 5, 1), date(2018, 5, 20))
    assert f"{transactions:,} transactions on 20 days, {frauds:,} of them fraud" in output


def test_simulate_to_files_needs_no_database(tmp_path, monkeypatch):
    monkeypatch.delenv("NIGHTSHIFT_SOURCE_DSN", raising=False)
    monkeypatch.setenv("NIGHTSHIFT_HOME", str(tmp_path))
    result = CliRunner().invoke(
        app, ["simulate", "--days", "1", "--customers", "10", "--to", str(tmp_path / "out")]
    )
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out" / "transactions" / "2018-04-01.parquet").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--map", "amount"), "--map 'amount' is not name=value"),
        (("--map", "amount=A,amount=B"), "--map names amount twice"),
        (("--const", "price=3"), "no column 'price' to load"),
        (("--encoding", "utf-99"), "no encoding 'utf-99'"),
        (("--delimiter", "::"), "'::' is not one character"),
        (("--timezone", "Nowhere"), "no time zone 'Nowhere'"),
    ],
)
def test_options_that_make_no_sense(call, tmp_path, arguments, message):
    with pytest.raises(ConfigError) as failed:
        call("load", "transactions", "--files", write(tmp_path / "rows.csv", T1), *arguments)
    assert message in str(failed.value)
    assert failed.value.remedy


def test_a_bad_file_names_the_rejects(call, tmp_path):
    with pytest.raises(DataError, match="1 of 2 rows cannot be loaded") as failed:
        call(
            "load",
            "transactions",
            "--files",
            write(tmp_path / "rows.csv", T1, "t2;x;1;0"),
            *MAP,
            "--delimiter",
            ";",
        )
    assert str(tmp_path / "home" / "rejects" / f"transactions-{datetime.now():%Y}") in str(
        failed.value
    )


@pytest.mark.parametrize("command", [("simulate",), ("load", "transactions"), ("load", "labels")])
def test_every_command_has_help_with_an_example(command):
    result = CliRunner().invoke(app, [*command, "--help"])
    assert result.exit_code == 0
    assert f"Example: nightshift source {' '.join(command)}" in result.output
