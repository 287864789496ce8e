"""The content digest: what must not change it, and what must."""

from __future__ import annotations

import random
import struct
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.core.digest import BOOKKEEPING, bytes_digest, json_digest, table_digest

INSTANT = datetime(2018, 7, 10, 23, 59, 59, 123456, tzinfo=UTC)
SCHEMA = pa.schema(
    {
        "id": pa.int64(),
        "text": pa.string(),
        "amount": pa.float64(),
        "at": pa.timestamp("us", "UTC"),
        "day": pa.date32(),
        "flag": pa.bool_(),
    }
)

rows = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.integers(-(2**63), 2**63 - 1),
            "text": st.none() | st.text(max_size=8),
            "amount": st.none() | st.floats(),
            "at": st.none()
            | st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),
            "day": st.none() | st.dates(),
            "flag": st.none() | st.booleans(),
        }
    ),
    max_size=12,
    unique_by=lambda row: row["id"],
)


def table(given_rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(given_rows, SCHEMA)


def column(values: Any, kind: pa.DataType | None = None) -> str:
    """Digest of a table with its key and one column `x`."""
    array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values, kind)
    return table_digest(pa.table({"k": pa.array(range(len(array))), "x": array}), ["k"])


# --- what must not change it


@given(rows, st.randoms(use_true_random=False), st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_row_order_column_order_and_chunking_do_not_count(
    given_rows: list[dict[str, Any]], shuffler: random.Random, chunk: int
) -> None:
    shuffled = shuffler.sample(given_rows, len(given_rows))
    names = shuffler.sample(SCHEMA.names, len(SCHEMA.names))
    parts = [table(shuffled[at : at + chunk]) for at in range(0, len(shuffled), chunk)]
    chunked = pa.concat_tables(parts) if parts else table([])
    assert table_digest(chunked.select(names), ["id"]) == table_digest(table(given_rows), ["id"])


@given(rows, st.integers(0, 5), st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_a_slice_equals_the_rows_it_shows(
    given_rows: list[dict[str, Any]], start: int, length: int
) -> None:
    sliced = table(given_rows).slice(start, length)
    assert table_digest(sliced, ["id"]) == table_digest(
        table(given_rows[start : start + length]), ["id"]
    )


@given(rows, st.data())
@settings(max_examples=60, deadline=None)
def test_one_changed_cell_changes_it(given_rows: list[dict[str, Any]], data: st.DataObject) -> None:
    if not given_rows:
        return
    at = data.draw(st.integers(0, len(given_rows) - 1))
    name = data.draw(st.sampled_from(["text", "amount", "at", "day", "flag"]))
    other = {
        "text": "never drawn",
        "amount": 0.1234,
        "at": INSTANT,
        "day": date(2018, 7, 10),
        "flag": True,
    }[name]
    if given_rows[at][name] == other:
        other = None
    changed = [dict(row) for row in given_rows]
    changed[at][name] = other
    assert table_digest(table(changed), ["id"]) != table_digest(table(given_rows), ["id"])


@pytest.mark.parametrize(
    "kind", [pa.int8(), pa.int16(), pa.int32(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]
)
def test_the_width_of_integers_does_not_count(kind: pa.DataType) -> None:
    assert column([1, None, 127], kind) == column([1, None, 127], pa.int64())


def test_the_width_of_floats_does_not_count() -> None:
    values = [0.5, None, -2.0, float("inf"), float("nan")]
    assert column(values, pa.float32()) == column(values, pa.float64())


@pytest.mark.parametrize("values", [["b", "", None, "ü", "b"], [None, None], []])
def test_the_encoding_of_strings_does_not_count(values: list[str | None]) -> None:
    plain = pa.array(values, pa.string())
    assert column(values, pa.large_string()) == column(plain)
    assert column(plain.dictionary_encode()) == column(plain)


def test_dictionaries_that_differ_between_chunks_do_not_count() -> None:
    parts = [["a", "b"], ["b", None], ["c"]]
    encoded = pa.chunked_array([pa.array(part).dictionary_encode() for part in parts])
    assert column(encoded) == column([value for part in parts for value in part])


def test_a_dictionary_encoded_key_sorts_by_its_values() -> None:
    keys, values = ["z", "a", "m"], [1, 2, 3]
    plain = pa.table({"k": keys, "x": values})
    encoded = pa.table({"k": pa.array(keys).dictionary_encode(), "x": values})
    assert table_digest(encoded, ["k"]) == table_digest(plain, ["k"])


def test_minus_zero_is_zero_and_every_nan_is_one() -> None:
    payloads = [0x7FF8000000000000, 0xFFF8000000000000, 0x7FF8000000000001, 0x7FF0DEADBEEF0001]
    nans = [np.frombuffer(struct.pack("<Q", bits), "<f8") for bits in payloads]
    assert (
        len(
            {column(pa.array(np.concatenate([nan, [-0.0]]))) for nan in nans}
            | {column([float("nan"), 0.0])}
        )
        == 1
    )


@pytest.mark.parametrize("name", sorted(BOOKKEEPING))
def test_bookkeeping_is_left_out(name: str) -> None:
    bare = pa.table({"k": [1, 2]})
    digests = {table_digest(bare.append_column(name, [[v, "x"]]), ["k"]) for v in ("a", "b")}
    assert digests == {table_digest(bare, ["k"])}


def test_units_and_zones_of_an_instant_do_not_count() -> None:
    berlin = INSTANT.astimezone(timezone(timedelta(hours=2)))
    utc = column([INSTANT, None], pa.timestamp("us", "UTC"))
    assert column([berlin, None], pa.timestamp("us", "Europe/Berlin")) == utc
    assert column([INSTANT, None], pa.timestamp("ns", "UTC")) == utc
    assert (
        column([INSTANT.replace(tzinfo=None), None], pa.timestamp("us")) == utc
    )  # naive means UTC
    whole = INSTANT.replace(microsecond=0)
    assert column([whole], pa.timestamp("s", "UTC")) == column([whole], pa.timestamp("us", "UTC"))


def test_an_instant_between_microseconds_is_refused_not_rounded() -> None:
    with pytest.raises(pa.ArrowInvalid, match="lose data"):
        column(pa.array([1], pa.int64()).cast(pa.timestamp("ns", "UTC")))


def test_the_width_of_dates_does_not_count() -> None:
    assert column([date(2018, 7, 10), None], pa.date64()) == column(
        [date(2018, 7, 10), None], pa.date32()
    )


def test_the_precision_of_a_decimal_does_not_count() -> None:
    values = [Decimal("12.50"), None, Decimal("-0.01")]
    assert column(values, pa.decimal128(10, 2)) == column(values, pa.decimal128(20, 2))
    assert column(values, pa.decimal256(40, 2)) == column(values, pa.decimal128(10, 2))
    assert column([Decimal("12.51"), None, Decimal("-0.01")], pa.decimal128(10, 2)) != column(
        values, pa.decimal128(10, 2)
    )


def test_bytes_behind_nulls_do_not_count() -> None:
    """Two stores leave different rubbish in the slots of nulls."""
    mask = np.array([False, True])
    ones, twos = (pa.array(np.array([7, hidden]), mask=mask) for hidden in (1, 2))
    assert column(ones) == column(twos)
    floats = [pa.array(np.array([7.0, hidden]), mask=mask) for hidden in (1.0, float("nan"))]
    assert column(floats[0]) == column(floats[1])


# --- what must change it


def test_null_nan_and_empty_differ() -> None:
    assert len({column([None], pa.string()), column([""]), column([" "])}) == 3
    assert len({column([None], pa.float64()), column([float("nan")]), column([0.0])}) == 3
    assert len({column([None], pa.int64()), column([0])}) == 2
    assert len({column([None], pa.bool_()), column([False])}) == 2


def test_strings_whose_concatenations_collide_differ() -> None:
    assert column(["ab", "c"]) != column(["a", "bc"])
    assert column(["", "x"]) != column(["x", ""])

    def two(left: list[str], right: list[str]) -> str:
        return table_digest(pa.table({"k": [1, 2], "a": left, "b": right}), ["k"])

    assert two(["ab", "c"], ["d", "e"]) != two(["a", "bc"], ["d", "e"])
    assert two(["ab", "c"], ["d", "e"]) != two(["ab", "cd"], ["", "e"])


@given(st.lists(st.text(max_size=4), max_size=4), st.lists(st.text(max_size=4), max_size=4))
def test_different_lists_of_strings_differ(left: list[str], right: list[str]) -> None:
    assert (column(pa.array(left, pa.string())) == column(pa.array(right, pa.string()))) == (
        left == right
    )


def test_the_kind_of_a_column_counts() -> None:
    same = [column(["1"]), column([1]), column([1.0]), column([date(1970, 1, 2)])]
    assert len({*same, column([1], pa.timestamp("us", "UTC"))}) == 5


def test_names_and_values_keep_apart() -> None:
    assert table_digest(pa.table({"k": [1], "a": [2]}), ["k"]) != table_digest(
        pa.table({"k": [1], "b": [2]}), ["k"]
    )
    one_cell = pa.table({"k": [1], "a": ["x"], "b": ["y"]})
    assert table_digest(one_cell, ["k"]) != table_digest(
        one_cell.rename_columns(["k", "b", "a"]), ["k"]
    )


def test_names_cannot_imitate_the_framing() -> None:
    two = pa.table({"a": pa.array([], pa.string()), "b": pa.array([], pa.string())})
    one = pa.table({"a:text|b": pa.array([], pa.string())})
    assert table_digest(two, []) != table_digest(one, [])


def test_an_empty_table_has_a_digest_that_knows_its_columns() -> None:
    empty = SCHEMA.empty_table()
    assert table_digest(empty, ["id"]) == table_digest(pa.Table.from_batches([], SCHEMA), ["id"])
    assert table_digest(empty, ["id"]) != table_digest(empty.drop_columns(["text"]), ["id"])
    assert table_digest(empty, ["id"]) != table_digest(table([{"id": None}]), ["id"])


def test_duplicate_rows_count() -> None:
    assert table_digest(pa.table({"k": [1]}), ["k"]) != table_digest(pa.table({"k": [1, 1]}), ["k"])


def test_a_kind_without_canonical_form_is_refused() -> None:
    with pytest.raises(TypeError, match="list"):
        column([[1]])


def test_known_value() -> None:
    """A change here makes every stored digest stale; it must be meant."""
    known = table(
        [{"id": 2, "text": "ü", "amount": -0.0, "at": INSTANT, "day": INSTANT.date(), "flag": None}]
    )
    assert table_digest(known, ["id"])[:16] == "57f71a863986d4b9"


# --- JSON and bytes


@given(
    st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3)),
    st.randoms(use_true_random=False),
)
def test_the_order_of_json_keys_does_not_count(
    value: dict[str, Any], shuffler: random.Random
) -> None:
    items = list(value.items())
    assert json_digest(dict(shuffler.sample(items, len(items)))) == json_digest(value)


def test_json_values_count() -> None:
    assert (
        len(
            {
                json_digest(v)
                for v in (
                    {"a": 1},
                    {"a": "1"},
                    {"a": 1.5},
                    {"a": None},
                    {"b": 1},
                    [1],
                    [1, 2],
                    [2, 1],
                )
            }
        )
        == 8
    )


def test_bytes_digest_is_sha256() -> None:
    assert (
        bytes_digest(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


@given(st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), max_size=20))
def test_a_wide_integer_has_the_digest_of_a_narrow_one(values):
    narrow, wide = pa.array(values, pa.int64()), pa.array(values, pa.decimal128(38, 0))
    assert table_digest(pa.table({"n": narrow}), ["n"]) == table_digest(
        pa.table({"n": wide}), ["n"]
    )


def test_wider_integers_have_digests_of_their_own():
    digests = {
        table_digest(pa.table({"n": pa.array([n], pa.decimal128(38, 0))}), ["n"])
        for n in (2**63 - 1, 2**63, 10**37)
    }
    assert len(digests) == 3
