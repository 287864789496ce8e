from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime
from urllib.parse import unquote

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from declared import columns_of
from jobs.core.tables import Table
from jobs.stores.documents import (
    answer,
    documents,
    entries,
    identifier,
    identifiers,
    sampled,
    value,
)

SCHEMA = pa.schema(
    [
        ("date", pa.date32()),
        ("id", pa.string()),
        ("part", pa.int64()),
        ("score", pa.float64()),
        ("flagged", pa.bool_()),
        ("at", pa.timestamp("us", "UTC")),
    ]
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "date": st.none() | st.dates(date(1970, 1, 1), date(2100, 1, 1)),
            "id": TEXT,
            "part": st.integers(-(2**63), 2**63 - 1),
            "score": st.none() | st.floats(),
            "flagged": st.none() | st.booleans(),
            "at": st.none()
            | st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
        }
    ),
    max_size=8,
)


@settings(max_examples=200, deadline=None)
@given(ROWS)
def test_a_document_reads_back_to_its_row(rows):
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    reread = [
        json.loads(text, parse_constant=lambda name: 1 / 0) for text in documents(table).to_pylist()
    ]
    assert reread == [{name: value(row[name]) for name in SCHEMA.names} for row in rows]
    for document, row in zip(reread, rows, strict=True):
        assert type(document["score"]) is (
            float if row["score"] is not None and math.isfinite(row["score"]) else type(None)
        )


@settings(max_examples=200, deadline=None)
@given(ROWS)
def test_the_ids_of_a_column_are_those_of_its_rows(rows):
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    ids = identifiers(table, ("id", "part")).to_pylist()
    assert ids == [identifier((row["id"], row["part"])) for row in rows]
    assert [unquote(text.partition(":")[0]) for text in ids] == [row["id"] for row in rows]


def test_what_a_document_looks_like():
    row = {
        "date": date(2018, 7, 10),
        "id": 'a:b/"ä"',
        "part": 12345678901234567,
        "score": 2.0,
        "flagged": True,
        "at": datetime(2018, 7, 10, 1, 2, 3, tzinfo=UTC),
    }
    table = pa.Table.from_pylist([row], schema=SCHEMA)
    assert documents(table).to_pylist() == [
        '{"date": "2018-07-10", "id": "a:b/\\"ä\\"", "part": 12345678901234567, '
        '"score": 2.0, "flagged": true, '
        '"at": "2018-07-10T01:02:03.000000Z"}'
    ]
    assert identifiers(table, ("id", "part")).to_pylist() == [
        "a%3Ab%2F%22%C3%A4%22:12345678901234567"
    ]


def test_slices_of_a_table_give_their_own_rows():
    table = pa.Table.from_pylist([{"id": f"c{n}", "part": n} for n in range(10)], schema=SCHEMA)
    assert identifiers(table.slice(3, 2), ("id",)).to_pylist() == ["c3", "c4"]
    assert [json.loads(text)["part"] for text in documents(table.slice(8, 5)).to_pylist()] == [8, 9]
    assert (
        documents(table.slice(0, 0)).to_pylist() == []
        and identifiers(table.slice(0, 0), ("id",)).to_pylist() == []
    )


RANKED = Table("top", ("id", "part"), columns_of(SCHEMA), "", "entity", ranked=True)


def looked_up(table, of, size):
    """id -> document, of all parts."""
    parts = [
        zip(ids.to_pylist(), texts.to_pylist(), strict=True)
        for ids, texts in entries(of, table, size)
    ]
    found = [(key, json.loads(text)) for part in parts for key, text in part]
    assert len(found) == len(dict(found)), "no id twice"
    return dict(found)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["a", "b:", "ä", ""]), st.integers(1, 9)), unique=True),
    st.integers(1, 9),
)
def test_ranked_rows_of_one_id_are_one_array_in_order(keys, size):
    rows = pa.Table.from_pylist([{"id": id_, "part": rank} for id_, rank in keys], schema=SCHEMA)
    lookups = looked_up(RANKED, rows, size)
    wanted = {
        identifier((id_,)): sorted(rank for other, rank in keys if other == id_) for id_, _ in keys
    }
    assert {key: [row["part"] for row in array] for key, array in lookups.items()} == wanted


def test_a_sample_of_a_ranked_table_has_all_rows_of_whom_it_has():
    rows = [{"id": f"u{n}", "part": rank} for rank in (2, 1, 3) for n in range(50)]
    sample = sampled(pa.Table.from_pylist(rows, schema=SCHEMA), RANKED, "seed", 5)
    lookups = looked_up(RANKED, sample, 2)
    assert 1 <= len(lookups) <= 5 and all(
        [row["part"] for row in array] == [1, 2, 3] for array in lookups.values()
    )


def test_an_answer_names_its_version():
    assert answer("v", {"id": "a"}) == {"version": "v", "id": "a"}
    assert answer("v", [{"id": "a"}]) == {"version": "v", "rows": [{"id": "a"}]}
