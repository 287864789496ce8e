"""Every command of docs/sources.md, on a made-up file of each public format."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pandas as pd
import psycopg2
import pytest
from typer.testing import CliRunner

from jobs.cli.source import app
from jobs.core.errors import DataError
from jobs.core.settings import PROJECT

CORPUS = Path(__file__).parent / "corpus"
PAGE = (PROJECT / "docs" / "sources.md").read_text()
RATINGS = "SELECT user_id, movie_id, value, timestamp FROM user_interactions ORDER BY timestamp, id"
TRANSACTIONS = """
SELECT transaction_id, event_time, customer_id, merchant_id, amount, currency, is_fraud
FROM transactions LEFT JOIN fraud_labels USING (transaction_id)
ORDER BY event_time, transaction_id"""


def at(*parts):
    return datetime(*parts, tzinfo=UTC)


def seconds(count):
    return datetime.fromtimestamp(count, UTC)


SMALL = [
    ("1", "Lanterne, La", 1994, "Drama"),
    ("2", 'Quote: "Café"', 1996, "Crime|Thriller"),
    ("3", "Untitled", None, None),
]

# Section of the page -> what its commands leave behind: (query, rows).
EXPECTED = {
    "MovieLens 100K": {
        "SELECT title, year, genres FROM movies ORDER BY movie_id": [
            ("Lanterne, La", 1994, "Drama"),
            ("Café Noir", 1996, "Crime|Thriller"),
            ("unknown", None, None),
        ],
        RATINGS: [
            ("11", "1", 4.0, seconds(881250001)),
            ("11", "2", 3.0, seconds(881250102)),
            ("12", "2", 5.0, seconds(881250203)),
        ],
    },
    "MovieLens 1M": {
        "SELECT title, year FROM movies ORDER BY movie_id": [
            ("Lanterne, La", 1994),
            ("Café Noir", 1996),
            ("Time :: Space", 1999),
        ],
        RATINGS: [
            ("11", "1", 4.0, seconds(978300001)),
            ("11", "2", 3.0, seconds(978300102)),
            ("12", "3", 5.0, seconds(978300203)),
        ],
    },
    "MovieLens 20M, 25M and 32M": {
        "SELECT * FROM movies ORDER BY movie_id": SMALL,
        RATINGS: [
            ("11", "1", 4.0, seconds(1112486001)),
            ("11", "2", 3.5, seconds(1112486102)),
            ("12", "2", 0.5, seconds(1112486203)),
        ],
    },
    "MovieLens latest": {
        "SELECT * FROM movies ORDER BY movie_id": SMALL,
        RATINGS: [
            ("11", "1", 4.0, seconds(1612486001)),
            ("11", "2", 3.5, seconds(1612486102)),
            ("12", "2", 0.5, seconds(1612486203)),
        ],
    },
    "MovieTweetings": {
        "SELECT movie_id, title, genres FROM movies ORDER BY 1": [
            ("0000101", "Lanterne", "Drama"),
            ("0000102", "Café Noir", "Crime|Thriller"),
            ("0000103", "Silent Reel", None),
        ],
        RATINGS: [
            ("1", "0000101", 8.0, seconds(1365029107)),
            ("1", "0000102", 7.0, seconds(1365029208)),
            ("2", "0000103", 10.0, seconds(1365029309)),
        ],
    },
    "Netflix prize": {
        "SELECT movie_id, title, year FROM movies ORDER BY 1": [
            ("1", "Lanterne", 1994),
            ("2", "Café, or the Night", None),
            ("3", "3,000 Leagues", 2001),
        ],
        RATINGS: [
            ("2000012", "1", 5.0, at(2005, 5, 13)),
            ("2000011", "1", 3.0, at(2005, 9, 6)),
            ("2000011", "2", 4.0, at(2005, 10, 19)),
        ],
    },
    "Amazon ratings": {
        RATINGS: [
            ("AB11TESTUSER1", "B00TEST001", 5.0, seconds(1382659200)),
            ("AB11TESTUSER2", "B00TEST001", 2.0, seconds(1382745600)),
            ("AB11TESTUSER1", "B00TEST002", 4.0, seconds(1382832000)),
            ("AB11TESTUSER1", "B00TEST001", 5.0, seconds(1482659200)),
            ("AB11TESTUSER1", "B00TEST002", 4.0, seconds(1482832000)),
            ("AETESTUSER1", "B00TEST001", 5.0, at(2020, 5, 4, 18, 10, 55, 70_000)),
            ("AETESTUSER2", "B00TEST001", 2.0, at(2020, 5, 4, 18, 10, 56, 123_000)),
        ],
    },
    "Goodreads": {
        RATINGS: [
            ("8a01", "100001", 5.0, at(2013, 4, 5, 16, 30)),
            ("8a02", "100002", 4.0, at(2016, 12, 5, 18, 46, 44)),
        ],
    },
    "Fraud Detection Handbook": {
        TRANSACTIONS: [
            ("0", at(2018, 4, 1, 0, 0, 12), "701", "4102", Decimal("12.34"), "EUR", None),
            ("1", at(2018, 4, 1, 0, 3, 20), "702", "4103", Decimal("290.50"), "EUR", True),
            ("2", at(2018, 4, 2, 0, 10), "703", "4104", Decimal("33.00"), "EUR", None),
        ],
    },
    "Credit-card fraud (ULB)": {
        TRANSACTIONS: [
            ("creditcard-2", at(2013, 9, 1), None, None, Decimal("11.50"), "EUR", None),
            ("creditcard-3", at(2013, 9, 1, 0, 0, 1), None, None, Decimal("2.25"), "EUR", None),
            ("creditcard-4", at(2013, 9, 2, 3, 46, 40), None, None, Decimal("303.03"), "EUR", True),
        ],
    },
    "PaySim": {
        TRANSACTIONS: [
            (
                "paysim-2",
                at(2017, 1, 1, 1),
                "C1000000001",
                "M1000000002",
                Decimal("1234.56"),
                None,
                None,
            ),
            (
                "paysim-3",
                at(2017, 1, 1, 1),
                "C1000000003",
                "C1000000004",
                Decimal("250.00"),
                None,
                True,
            ),
            (
                "paysim-4",
                at(2017, 1, 31, 23),
                "C1000000005",
                "C1000000006",
                Decimal("92445516.64"),
                None,
                True,
            ),
        ],
    },
    "Sparkov": {
        TRANSACTIONS: [
            (
                "00000000000000000000000000000a01",
                at(2019, 1, 1, 0, 0, 18),
                "2703000000000001",
                "fraud_Alder, Birch and Cedar",
                Decimal("3.21"),
                "USD",
                None,
            ),
            (
                "00000000000000000000000000000a02",
                at(2019, 1, 1, 0, 0, 44),
                "630400000001",
                "fraud_Elm PLC",
                Decimal("120.34"),
                "USD",
                True,
            ),
        ],
    },
    "IEEE-CIS": {
        TRANSACTIONS: [
            ("2900001", at(2017, 12, 2, 0, 0, 11), "12001", "W", Decimal("50.50"), "USD", None),
            ("2900002", at(2017, 12, 2, 0, 2, 2), "12002", "C", Decimal("30.00"), "USD", True),
        ],
    },
    "TabFormer": {
        TRANSACTIONS: [
            (
                "tabformer-2",
                at(2002, 9, 1, 7, 15),
                "0",
                "3000000000000000001",
                Decimal("45.60"),
                "USD",
                None,
            ),
            (
                "tabformer-3",
                at(2002, 9, 1, 8, 42),
                "0",
                "-3000000000000000002",
                Decimal("-12.00"),
                "USD",
                None,
            ),
            (
                "tabformer-4",
                at(2019, 12, 31, 23, 59),
                "1",
                "3000000000000000003",
                Decimal("1234.50"),
                "USD",
                True,
            ),
        ],
    },
}


def commands(section):
    (text,) = re.findall(
        rf"^### {re.escape(section)}\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL
    )
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return [
        shlex.split(line)
        for block in blocks
        for line in re.sub(r"\\\n\s*", " ", block).splitlines()
    ]


@pytest.fixture
def corpus(source_db, tmp_path, monkeypatch):
    folder = shutil.copytree(CORPUS, tmp_path / "corpus")
    (folder / "handbook" / "data").mkdir()
    days = pd.read_csv(
        folder / "handbook" / "transactions.csv", index_col=0, parse_dates=["TX_DATETIME"]
    )
    for day, rows in days.groupby(days["TX_DATETIME"].dt.date):
        rows.to_pickle(folder / "handbook" / "data" / f"{day}.pkl")
    monkeypatch.setenv("NIGHTSHIFT_SOURCE_DSN", source_db)
    monkeypatch.setenv("NIGHTSHIFT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(folder)
    return folder


def run(command):
    if command[0] == "python":
        subprocess.run([sys.executable, *command[1:]], check=True, timeout=60)
        return ""
    assert command[:2] == ["nightshift", "source"]
    result = CliRunner().invoke(app, command[2:], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert " + 0 duplicates + 0 rejected" in result.output
    return result.output


def test_the_page_and_the_corpus_hold_the_same_formats():
    named = re.findall(r"^### (.+)$", PAGE, re.MULTILINE)
    assert named == list(EXPECTED)
    loaded = " ".join(
        word for section in named for command in commands(section) for word in command
    )
    folders = {folder.name for folder in CORPUS.iterdir()}
    assert all(f"{folder}/" in loaded for folder in folders), folders


@pytest.mark.parametrize("section", EXPECTED)
def test_the_commands_of_the_page_load_the_format(corpus, source_db, section):
    report = "".join(map(run, commands(section)))
    with (
        closing(psycopg2.connect(source_db, options="-c timezone=UTC")) as connection,
        connection.cursor() as cursor,
    ):
        for query, rows in EXPECTED[section].items():
            cursor.execute(query)
            assert cursor.fetchall() == rows
    assert (
        "warning: no column for customer_id: validate quarantines new rows without it" in report
    ) == (section == "Credit-card fraud (ULB)")


@pytest.mark.parametrize(
    ("kind", "file", "message"),
    [
        ("ratings", "goodreads/goodreads_interactions.csv", "no column 'timestamp' for timestamp"),
        ("ratings", "goodreads/goodreads_interactions_dedup.json", "the file is JSON"),
        ("transactions", "handbook/data/2018-04-01.pkl", "the file is a Python pickle"),
    ],
)
def test_what_the_page_says_cannot_be_loaded_is_refused_by_name(corpus, kind, file, message):
    options = ["--map", "movie_id=book_id"] if kind == "ratings" else []
    with pytest.raises(DataError, match=message) as failed:
        CliRunner().invoke(app, ["load", kind, "--files", file, *options], catch_exceptions=False)
    assert file in str(failed.value)
    assert failed.value.remedy
