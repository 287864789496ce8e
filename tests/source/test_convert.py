"""Values of a file to values of a table, against twins that take one value at a time."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.source.convert import convert, readable
from jobs.source.converted import as_text
from jobs.source.dialect import Dialect


def told(converted) -> list[str | None]:
    """The reason of each row, None for a good one."""
    reasons = [None] * len(converted.values)
    for reason, rows in converted.problems.items():
        for row in np.flatnonzero(rows):
            reasons[row] = reason
    return reasons


def money_twin(text: str) -> str | None:
    try:
        amount = Decimal(text.strip())
    except InvalidOperation:
        return "is not a number"
    if not amount.is_finite():
        return "is NaN or infinite"
    return "does not fit numeric(14,2)" if abs(amount) >= Decimal("999999999999.995") else None


@given(
    st.lists(
        st.one_of(
            st.decimals(allow_nan=False, allow_infinity=False, places=2).map(str),
            st.floats().map(repr),
            st.sampled_from(
                [
                    "NaN",
                    "-inf",
                    "Infinity",
                    "12,50",
                    "EUR 5",
                    "1e3",
                    ".5",
                    "7.",
                    "+1",
                    "--1",
                    "0x10",
                    " 3 ",
                ]
            ),
        ),
        min_size=1,
    )
)
def test_money_agrees_with_decimal_one_by_one(texts):
    converted = convert("money", pa.array(texts), Dialect())
    assert told(converted) == [money_twin(text) for text in texts]
    good = [text.strip() if money_twin(text) is None else None for text in texts]
    assert converted.values.to_pylist() == good


def test_money_of_a_float_column_keeps_the_digits_and_refuses_what_is_not_finite():
    converted = convert(
        "money", pa.array([57.16, -3.0, 1e-5, None, float("nan"), float("inf"), 1e12]), Dialect()
    )
    assert [None if text is None else float(text) for text in converted.values.to_pylist()] == [
        57.16,
        -3.0,
        1e-5,
        None,
        None,
        None,
        None,
    ]
    assert told(converted) == [None] * 4 + ["is NaN or infinite"] * 2 + [
        "does not fit numeric(14,2)"
    ]


def test_text_is_trimmed_empty_is_missing_and_whole_floats_read_as_integers():
    assert as_text(pa.array([" a ", "", None, "b c"])).to_pylist() == ["a", None, None, "b c"]
    assert as_text(pa.array([7.0, 7.5, float("nan"), -0.0])).to_pylist() == ["7", "7.5", None, "0"]
    assert convert(
        "text", pa.array(["x", "x", "y"]).dictionary_encode(), Dialect()
    ).values.to_pylist() == [
        "x",
        "x",
        "y",
    ]


def test_a_nul_character_is_told_because_postgres_cannot_hold_it():
    assert told(convert("text", pa.array(["a\0b", "ab"]), Dialect())) == [
        "holds a NUL character",
        None,
    ]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 1, None], [False, True, None]),
        ([0.0, 1.0], [False, True]),
        ([True, False], [True, False]),
        (["TRUE", "no", " t ", ""], [True, False, True, None]),
    ],
)
def test_flags(values, expected):
    converted = convert("flag", pa.array(values), Dialect())
    assert converted.values.to_pylist() == expected
    assert told(converted) == [None] * len(values)


def test_a_flag_that_is_neither_true_nor_false_is_told():
    assert told(convert("flag", pa.array([0, 2]), Dialect())) == [None, "is neither true nor false"]
    assert told(convert("flag", pa.array(["maybe", None]), Dialect())) == [
        "is neither true nor false",
        None,
    ]


@given(
    st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1)),
    st.sampled_from(["", "Z", "+02:00", "-0530", "+01"]),
    st.sampled_from(["T", " "]),
)
def test_a_time_agrees_with_datetime(moment, zone, separator):
    text = moment.isoformat(separator) + zone
    twin = datetime.fromisoformat(text)
    twin = twin if zone else twin.replace(tzinfo=UTC)
    converted = convert("time", pa.array([text]), Dialect())
    assert told(converted) == [None]
    assert converted.values.to_pylist() == [twin.astimezone(UTC)]


def test_a_time_without_a_zone_is_local_and_one_with_a_zone_is_not():
    local = pa.array(["2018-07-01 12:00:00", "2018-07-01T12:00:00Z", "2018-01-01"])
    noon = datetime(2018, 7, 1, 12, tzinfo=ZoneInfo("Europe/Berlin"))
    assert convert("time", local, Dialect("Europe/Berlin")).values.to_pylist() == [
        noon.astimezone(UTC),
        noon.replace(tzinfo=UTC),
        datetime(2017, 12, 31, 23, tzinfo=UTC),
    ]


def test_local_times_that_the_clock_skips_or_repeats_are_told():
    skipped, repeated, fine = "2018-03-25 02:30:00", "2018-10-28 02:30:00", "2018-10-28 03:30:00"
    reason = "falls into a change of the clocks in Europe/Berlin"
    assert told(convert("time", pa.array([skipped, repeated, fine]), Dialect("Europe/Berlin"))) == [
        reason,
        reason,
        None,
    ]
    stamps = pa.array(
        [datetime.fromisoformat(text) for text in (skipped, fine)], pa.timestamp("ms")
    )
    assert told(convert("time", stamps, Dialect("Europe/Berlin"))) == [reason, None]


@pytest.mark.parametrize(
    "text",
    [
        "01/04/2018",
        "2018",
        "20180401",
        "2018-13-01",
        "2018-02-30",
        "now",
        "1522540800",
        "2018-04-01 25:00",
    ],
)
def test_what_is_no_iso_time_is_told(text):
    converted = convert("time", pa.array([text]), Dialect())
    assert told(converted) == ["is not an ISO 8601 time"]
    assert converted.values.to_pylist() == [None]


def test_times_of_a_parquet_file_of_any_unit():
    moment = datetime(2018, 4, 1, 0, 0, 31)
    expected = [moment.replace(tzinfo=UTC), None]
    for unit in ("s", "ms", "us", "ns"):
        assert (
            convert(
                "time", pa.array([moment, None], pa.timestamp(unit)), Dialect()
            ).values.to_pylist()
            == expected
        )
        zoned = pa.array([moment.replace(tzinfo=UTC), None], pa.timestamp(unit, "America/New_York"))
        assert convert("time", zoned, Dialect("Europe/Berlin")).values.to_pylist() == expected
    days = convert("time", pa.array([date(2018, 4, 1)]), Dialect()).values.to_pylist()
    assert days == [datetime(2018, 4, 1, tzinfo=UTC)]


def test_an_empty_array_of_every_kind():
    for kind in ("text", "time", "money", "flag"):
        assert convert(kind, pa.array([], pa.string()), Dialect()).values.to_pylist() == []
        assert convert(kind, pa.array([None, None], pa.string()), Dialect()).values.to_pylist() == [
            None,
            None,
        ]
        assert convert(kind, pa.nulls(2), Dialect()).values.to_pylist() == [None, None]


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        ("time", pa.int64(), False),
        ("time", pa.date32(), True),
        ("money", pa.timestamp("us"), False),
        ("money", pa.decimal128(20, 4), True),
        ("text", pa.list_(pa.string()), False),
        ("text", pa.dictionary(pa.int32(), pa.string()), True),
        ("text", pa.binary(), False),
        ("flag", pa.int8(), True),
        ("flag", pa.date32(), False),
    ],
)
def test_which_arrow_types_can_be_read(kind, given, expected):
    assert readable(kind, given, Dialect()) is expected


def test_times_near_midnight_keep_their_microseconds():
    last = datetime(2018, 4, 1, tzinfo=UTC) - timedelta(microseconds=1)
    assert convert("time", pa.array([last.isoformat()]), Dialect()).values.to_pylist() == [last]


def number_twin(text: str) -> str | None:
    try:
        number = float(text)
    except ValueError:
        return "is not a number"
    return None if np.isfinite(number) else "is NaN or infinite"


@given(
    st.lists(
        st.one_of(
            st.floats().map(repr),
            st.sampled_from(
                ["1e999", "-1e400", "1e-400", ".5", "7.", "+1", "--1", "0x10", " 3 ", "eight"]
            ),
        ),
        min_size=1,
    )
)
def test_numbers_agree_with_float_one_by_one(texts):
    converted = convert("number", pa.array(texts), Dialect())
    assert told(converted) == [number_twin(text) for text in texts]
    good = [float(text) if number_twin(text) is None else None for text in texts]
    assert converted.values.to_pylist() == good


def test_whole_numbers_fit_four_bytes():
    texts = [
        "1999",
        " 7 ",
        "1999.0",
        "-3",
        "",
        None,
        "1999.5",
        "1e3",
        "2147483647",
        "2147483648",
        "9" * 40,
    ]
    converted = convert("integer", pa.array(texts), Dialect())
    assert converted.values.to_pylist() == [
        1999,
        7,
        1999,
        -3,
        None,
        None,
        None,
        None,
        2147483647,
        None,
        None,
    ]
    wrong, large = "is not a whole number", "does not fit an integer"
    assert told(converted) == [None] * 6 + [wrong, wrong, None, large, large]
    assert convert("integer", pa.array([1.0, 1.5, float("nan")]), Dialect()).values.to_pylist() == [
        1,
        None,
        None,
    ]


@given(st.lists(st.one_of(st.none(), st.integers(-(10**13), 10**13)), min_size=1))
def test_seconds_agree_with_datetime_one_by_one(seconds):
    late = [
        second is not None and not -62_135_596_800 <= second <= 253_402_300_799
        for second in seconds
    ]
    expected = [
        None if second is None or far else second * 1_000_000
        for second, far in zip(seconds, late, strict=True)
    ]
    for values in (
        pa.array(seconds, pa.int64()),
        pa.array([None if s is None else str(s) for s in seconds]),
    ):
        converted = convert("unix", values, Dialect())
        assert converted.values.cast(pa.int64()).to_pylist() == expected
        assert [reason is not None for reason in told(converted)] == late


def test_seconds_may_have_parts_and_other_times_are_still_read():
    texts = ["1365029107.5", "2013-04-03 22:45:07", "2013-04-03T22:45:07+02:00", "yesterday", None]
    converted = convert("unix", pa.array(texts), Dialect("Europe/Berlin"))
    assert converted.values.to_pylist() == [
        datetime(2013, 4, 3, 22, 45, 7, 500_000, tzinfo=UTC),
        datetime(2013, 4, 3, 20, 45, 7, tzinfo=UTC),
        datetime(2013, 4, 3, 20, 45, 7, tzinfo=UTC),
        None,
        None,
    ]
    assert told(converted)[3:] == ["is not an ISO 8601 time", None]
    assert (
        convert("unix", pa.array([datetime(2013, 4, 3)]), Dialect()).values[0].as_py().year == 2013
    )


def test_what_json_a_database_holds():
    good = [
        '{"a": [1, 2.5, null, "é"]}',
        "3",
        '"x"',
        None,
        "",
        '{"big": 123456789012345678901234567890}',
    ]
    bad = [
        "{half",
        "NaN",
        '{"x": Infinity}',
        "1e999",
        r'"\u0000"',
        r'"\ud800"',
        "[" * 100_000,
        "'x'",
    ]
    converted = convert("json", pa.array(good + bad), Dialect())
    assert told(converted) == [None] * len(good) + ["is not JSON that a database holds"] * len(bad)
    assert converted.values.to_pylist()[: len(good)] == [text or None for text in good]


@pytest.mark.parametrize(
    ("kind", "types"),
    [
        ("number", [pa.string(), pa.int8(), pa.float32(), pa.decimal128(9, 2)]),
        ("integer", [pa.string(), pa.int64(), pa.float64()]),
        ("unix", [pa.string(), pa.int64(), pa.float64(), pa.timestamp("ns"), pa.date32()]),
        ("json", [pa.string(), pa.null()]),
    ],
)
def test_the_types_that_each_kind_is_read_from(kind, types):
    for given_type in (
        pa.string(),
        pa.null(),
        pa.int8(),
        pa.int64(),
        pa.float32(),
        pa.float64(),
        pa.bool_(),
        pa.decimal128(9, 2),
        pa.timestamp("ns"),
        pa.date32(),
    ):
        if given_type in types:
            assert readable(kind, given_type, Dialect())
            assert convert(kind, pa.nulls(2, given_type), Dialect()).values.to_pylist() == [
                None,
                None,
            ]
    assert not readable(kind, pa.bool_(), Dialect())
    assert not readable(kind, pa.struct([("x", pa.int8())]), Dialect())
