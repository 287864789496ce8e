"""judge and split: which rows are good, and the one reason of each that is not."""

from __future__ import annotations

import random
from collections import Counter
from datetime import date

import pandas as pd
import pyarrow as pa
import pytest

from jobs.core.cast import PROBLEM, typed
from jobs.steps.validate import REASON, judge, reasons_of, split
from jobs.usecases.fraud.params import FraudValidateParams
from jobs.usecases.fraud.sources import SOURCES
from jobs.usecases.movies.params import MoviesValidateParams
from jobs.usecases.movies.sources import SOURCES as OF_MOVIES

DAY = date(2018, 7, 10)
PARAMS = FraudValidateParams(max_amount_minor=100_000)
OF_MOVIES_PARAMS = MoviesValidateParams(scale=(0.5, 5))
TRANSACTIONS, LABELS = SOURCES
INTERACTIONS, MOVIES = OF_MOVIES
EVERY = pytest.mark.parametrize("source", (*SOURCES, *OF_MOVIES), ids=lambda source: source.name)

TRANSACTION = {
    "transaction_id": "t",
    "event_time": "2018-07-10 12:00:00Z",
    "customer_id": "c",
    "merchant_id": "m",
    "amount": "10.00",
    "currency": "EUR",
    "country": "NL",
    "device_type": "web",
    "card_last_4": "0042",
}
LABEL = {
    "transaction_id": "t",
    "is_fraud": "true",
    "reported_at": "2018-07-10 12:00:00Z",
    "event_time": "2018-07-03 12:00:00Z",
    "customer_id": "c",
    "merchant_id": "m",
    "amount": "10.00",
}
INTERACTION = {
    "id": "i",
    "user_id": "u",
    "movie_id": "m",
    "interaction_type": "rating",
    "value": "3.5",
    "event_time": "2018-07-10 12:00:00Z",
    "watch_time_s": None,
}
MOVIE = {"movie_id": "m", "title": "Alien", "year": "1979", "genres": "Horror|Sci-Fi"}
GOOD = {TRANSACTIONS: TRANSACTION, LABELS: LABEL, INTERACTIONS: INTERACTION, MOVIES: MOVIE}


def extract(source, *rows):
    """What extract leaves of rows of text that differ from the good one in what they name."""
    base = GOOD[source]
    text = pd.DataFrame([base | row for row in rows], columns=list(base), dtype="object")
    return typed(text, source.schema, dict(source.money))


def reasons(source, *rows):
    """The reason of each row, in order; the two sides are checked on the way."""
    table = extract(source, *rows)
    params = PARAMS if source in SOURCES else OF_MOVIES_PARAMS
    good, bad = split(table, source, DAY, params)
    per_row = [
        None if pd.isna(reason) else reason
        for reason in judge(table.to_pandas(), source, DAY, params)
    ]
    assert good.num_rows + bad.num_rows == table.num_rows
    assert good.schema == source.schema
    assert bad.schema.names == [*source.schema.names, REASON]
    assert bad[REASON].to_pylist() == [reason for reason in per_row if reason]
    kept = [
        row
        for row, reason in zip(table.drop_columns(PROBLEM).to_pylist(), per_row, strict=True)
        if not reason
    ]
    assert good.to_pylist() == kept
    return per_row


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"event_time": "2018-07-10 00:00:00Z"}, None),
        ({"event_time": "2018-07-10 23:59:59.999999Z"}, None),
        ({"event_time": "2018-07-11 01:00:00+02:00"}, None),
        ({"event_time": "2018-07-11 00:00:00Z"}, "event_time is not on 2018-07-10"),
        ({"event_time": "2018-07-09 23:59:59.999999Z"}, "event_time is not on 2018-07-10"),
        ({"event_time": "2018-07-10 01:00:00+02:00"}, "event_time is not on 2018-07-10"),
        ({"event_time": "noon"}, "event_time is not a time: noon"),
        ({"event_time": None}, "missing event_time"),
        ({"transaction_id": None}, "missing transaction_id"),
        ({"customer_id": None, "merchant_id": None}, "missing customer_id, merchant_id"),
        ({"customer_id": ""}, "missing customer_id"),
        ({"amount": None}, "missing amount_minor"),
        ({"amount": "NaN"}, "amount is not a number: NaN"),
        ({"amount": "1.005"}, "amount is not a number: 1.005"),
        ({"amount": "0.00"}, None),
        ({"amount": "-0.01"}, "negative amount"),
        ({"amount": "1000.00"}, None),
        ({"amount": "1000.01"}, "absurd amount (over 100000)"),
        ({"country": None, "device_type": None, "currency": None, "card_last_4": None}, None),
        ({"country": "Zürich \u00df"}, None),
        ({"country": "Z\ufffdrich"}, "text in an unknown encoding"),
        ({"merchant_id": "m\x01"}, "text in an unknown encoding"),
        ({"card_last_4": "12\n4"}, "text in an unknown encoding"),
        # Unreadable values come before missing ones, and those before the rules in their order.
        ({"amount": "x", "customer_id": None}, "amount is not a number: x"),
        ({"amount": "-1", "customer_id": None}, "missing customer_id"),
        ({"amount": "-1", "event_time": "2018-07-11"}, "event_time is not on 2018-07-10"),
    ],
)
def test_rules_of_transactions(change, reason):
    assert reasons(TRANSACTIONS, {"transaction_id": "other"}, change) == [None, reason]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"is_fraud": "f"}, None),
        ({"is_fraud": "maybe"}, "is_fraud is not true or false: maybe"),
        ({"is_fraud": None}, "missing is_fraud"),
        ({"reported_at": "2018-07-11 00:00:00Z"}, "reported_at is not on 2018-07-10"),
        ({"reported_at": None}, "missing reported_at"),
        (
            {"event_time": None, "customer_id": None, "merchant_id": None, "amount": None},
            "label of an unknown transaction",
        ),
        ({"event_time": "2018-07-10 12:00:00.000001Z"}, "reported before its transaction"),
        ({"event_time": "2018-07-10 12:00:00Z"}, None),
        ({"amount": "-5"}, "negative amount"),
        ({"amount": "1e9"}, "amount is not a number: 1e9"),
        ({"amount": "5000"}, "absurd amount (over 100000)"),
    ],
)
def test_rules_of_labels(change, reason):
    assert reasons(LABELS, {"transaction_id": "other"}, change) == [None, reason]


@EVERY
def test_of_equal_rows_the_first_is_kept(source):
    (key,) = source.key
    assert reasons(source, {}, {}, {key: "u"}, {}) == [
        None,
        "duplicate, same content",
        None,
        "duplicate, same content",
    ]


def test_of_rows_that_share_a_key_and_differ_none_is_kept():
    different = "duplicate key, different content"
    assert reasons(TRANSACTIONS, {}, {"amount": "11"}, {"transaction_id": "u"}) == [
        different,
        different,
        None,
    ]
    assert reasons(LABELS, {}, {"is_fraud": "f"}) == [different, different]
    assert reasons(INTERACTIONS, {}, {"value": "4"}, {"id": "j"}) == [different, different, None]
    assert reasons(MOVIES, {}, {"title": "Aliens"}, {"movie_id": "n"}) == [
        different,
        different,
        None,
    ]
    # Said once of a row that came twice; null is a value like another.
    assert reasons(TRANSACTIONS, {}, {}, {"country": None}, {"country": None}) == [
        different,
        "duplicate, same content",
        different,
        "duplicate, same content",
    ]


def test_the_same_amount_written_otherwise_is_the_same_content():
    assert reasons(TRANSACTIONS, {}, {"amount": " 10.0"}) == [None, "duplicate, same content"]
    assert reasons(INTERACTIONS, {}, {"value": "3.50"}) == [None, "duplicate, same content"]


@pytest.mark.parametrize(
    "bad", [{"amount": "-1"}, {"amount": "x"}, {"customer_id": None}, {"event_time": "2018-07-11"}]
)
def test_a_bad_twin_does_not_condemn_a_good_row(bad):
    first, second = reasons(TRANSACTIONS, bad, {})
    assert (bool(first), second) == (True, None)
    assert "duplicate" not in first


@EVERY
def test_an_empty_day_has_two_empty_sides(source):
    assert reasons(source) == []


def test_a_day_of_bad_rows_only():
    assert reasons(TRANSACTIONS, {"amount": "-1"}, {"amount": None, "transaction_id": "u"}) == [
        "negative amount",
        "missing amount_minor",
    ]


def test_good_and_quarantined_are_what_was_read():
    """Random rows against the definition, row by row."""
    chance = random.Random(3)
    changes = [
        {
            "transaction_id": chance.choice((None, *[f"t{number % 80}"] * 20)),
            "amount": chance.choice(("-1", "x", None, "99999", "11", *["10.00"] * 15)),
            "event_time": chance.choice(("2018-07-12", "?", *["2018-07-10"] * 15)),
            "country": chance.choice((None, "\ufffd", *["NL"] * 20)),
        }
        for number in range(400)
    ]
    result = reasons(TRANSACTIONS, *changes)

    def clean(row):
        return (
            row["transaction_id"] is not None
            and row["amount"] in ("10.00", "11")
            and row["event_time"] == "2018-07-10"
            and row["country"] != "\ufffd"
        )

    contents: dict[str, set] = {}
    for row in filter(clean, changes):
        contents.setdefault(row["transaction_id"], set()).add(tuple(row.values()))
    kept = set()
    for row, reason in zip(changes, result, strict=True):
        content = tuple(row.values())
        good = clean(row) and len(contents[row["transaction_id"]]) == 1 and content not in kept
        assert (reason is None) == good, (row, reason)
        if good:
            kept.add(content)
    assert len(kept) > 20 and {"duplicate, same content", "duplicate key, different content"} < set(
        result
    )


def test_reasons_are_counted_without_the_text_of_the_cells():
    _, bad = split(
        extract(
            TRANSACTIONS, {"amount": "x"}, {"amount": "y"}, {"amount": "-1"}, {"customer_id": None}
        ),
        TRANSACTIONS,
        DAY,
        PARAMS,
    )
    assert reasons_of(bad) == Counter(
        {"amount is not a number": 2, "negative amount": 1, "missing customer_id": 1}
    )
    assert reasons_of(bad.slice(0, 0)) == {}


def test_the_index_of_a_filtered_table_does_not_matter():
    table = pa.concat_tables(
        [
            extract(TRANSACTIONS, {}),
            extract(TRANSACTIONS, {"amount": "-1"}, {"transaction_id": "u"}),
        ]
    )
    good, bad = split(table.slice(1), TRANSACTIONS, DAY, PARAMS)
    assert (good["transaction_id"].to_pylist(), bad[REASON].to_pylist()) == (
        ["u"],
        ["negative amount"],
    )
