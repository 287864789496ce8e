"""Text to typed columns: values that are read, and reasons for those that are not."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

import pandas as pd
import pyarrow as pa
import pytest

from jobs.core.cast import PROBLEM, typed

SCHEMA = pa.schema(
    {
        "id": pa.string(),
        "at": pa.timestamp("us", "UTC"),
        "amount_minor": pa.int64(),
        "good": pa.bool_(),
        "n": pa.int64(),
        "value": pa.float64(),
    }
)


def read(**columns):
    """typed() of columns of text; those not given are null."""
    rows = len(next(iter(columns.values())))
    names = ["amount" if name == "amount_minor" else name for name in SCHEMA.names]
    text = pd.DataFrame({name: columns.get(name, [None] * rows) for name in names}, dtype="object")
    cells = typed(text, SCHEMA, {"amount_minor": "amount"})
    assert cells.num_rows == rows
    assert cells.schema.names == [*SCHEMA.names, PROBLEM]
    assert cells.select(SCHEMA.names).schema == SCHEMA
    return cells.to_pydict()


@pytest.mark.parametrize(
    ("text", "minor"),
    [
        ("12.34", 1234),
        ("12", 1200),
        ("12.3", 1230),
        ("0", 0),
        ("-0", 0),
        ("0.01", 1),
        ("-12.34", -1234),
        ("-0.05", -5),
        (" 12.34 ", 1234),
        ("\t1\n", 100),
        ("007.50", 750),
        ("12.3400", 1234),
        ("1.500", 150),
        ("123456789012345.67", 12345678901234567),
        ("-999999999999999.99", -99999999999999999),
    ],
)
def test_money_becomes_integer_minor_units(text, minor):
    cells = read(amount=[text])
    assert (cells["amount_minor"], cells[PROBLEM]) == ([minor], [None])


@pytest.mark.parametrize(
    "text",
    [
        "NaN",
        "nan",
        "inf",
        "-Infinity",
        "1e3",
        "1E+2",
        "0.001",
        "12.345",
        "+1",
        "--1",
        "- 1",
        "1,5",
        "1.000,00",
        ".5",
        "5.",
        "1 2",
        "€5",
        "0x10",
        "1_000",
        "",
        " ",
        "abc",
        "1234567890123456",
        "12.34\x00",
        "٣",
        "1" * 400,
    ],
)
def test_what_is_no_amount_is_a_problem_with_its_text(text):
    cells = read(amount=["1.00", text, None])
    assert cells["amount_minor"] == [100, None, None]
    assert cells[PROBLEM] == [None, f"amount is not a number: {text}", None]


def test_money_equals_its_decimal_twin():
    chance = random.Random(5)
    texts = [
        "".join(chance.choices("0123456789.- e", k=chance.randrange(1, 9))) for _ in range(3000)
    ]
    cells = read(amount=texts)

    def decimal(text: str) -> int | None:
        """Two decimals that count, digits on both sides of a point, no exponent, no inner space."""
        text = text.strip()
        if "e" in text or " " in text or text.startswith(("-.", ".")) or text.endswith("."):
            return None
        try:
            minor = Decimal(text) * 100
        except InvalidOperation:
            return None
        return int(minor) if minor == minor.to_integral_value() else None

    assert cells["amount_minor"] == [decimal(text) for text in texts]
    assert len({*cells["amount_minor"]}) > 100


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2018-07-10", datetime(2018, 7, 10)),
        ("2018-07-10 23:59:59.999999", datetime(2018, 7, 10, 23, 59, 59, 999999)),
        ("2018-07-10T12:00:00Z", datetime(2018, 7, 10, 12)),
        ("2018-07-10 12:00:00+00", datetime(2018, 7, 10, 12)),
        ("2018-07-10T00:30:00+02:00", datetime(2018, 7, 9, 22, 30)),
        ("2018-07-10T23:30:00-0330", datetime(2018, 7, 11, 3)),
        ("2018-07-10T12:00:00.1234567Z", datetime(2018, 7, 10, 12, 0, 0, 123456)),
        ("1969-12-31T23:59:59.5Z", datetime(1969, 12, 31, 23, 59, 59, 500000)),
    ],
)
def test_times_are_utc_to_the_microsecond(text, moment):
    cells = read(at=[text])
    assert (cells["at"], cells[PROBLEM]) == ([moment.replace(tzinfo=UTC)], [None])


@pytest.mark.parametrize(
    "text",
    ["yesterday", "", "10/07/2018", "2018-13-01", "2018-02-30", "2018-07-10 25:00", "1531180800"],
)
def test_what_is_no_time_is_a_problem_with_its_text(text):
    cells = read(at=["2018-07-10", text])
    assert cells["at"] == [datetime(2018, 7, 10, tzinfo=UTC), None]
    assert cells[PROBLEM] == [None, f"at is not a time: {text}"]


def test_times_that_no_clock_can_hold_are_problems():
    cells = read(at=["9999-12-31T23:59:59Z", "0001-01-01", "2018-07-10"])
    assert cells["at"][2] == datetime(2018, 7, 10, tzinfo=UTC)
    for moment, problem in list(zip(cells["at"], cells[PROBLEM], strict=True))[:2]:
        assert (moment is None) == (problem is not None)


def test_booleans_and_integers():
    cells = read(
        good=["t", "TRUE", "1", "f", "False", "0", "yes", "2", "", None],
        n=["5", "-7", "0", "999999999999999999", "1.0", "1e3", " 5", "NaN", "9" * 19, "٣"],
    )
    assert cells["good"] == [True, True, True, False, False, False, None, None, None, None]
    assert cells["n"] == [5, -7, 0, 999999999999999999, *[None] * 6]
    assert cells[PROBLEM] == [
        None,
        None,
        None,
        None,
        "n is not a number: 1.0",
        "n is not a number: 1e3",
        "good is not true or false: yes; n is not a number:  5",
        "good is not true or false: 2; n is not a number: NaN",
        f"good is not true or false: ; n is not a number: {'9' * 19}",
        "n is not a number: ٣",
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", 7.0),
        ("7.5", 7.5),
        ("1e1", 10.0),
        ("1E+1", 10.0),
        ("+3", 3.0),
        ("-0.5", -0.5),
        (".5", 0.5),
        ("5.", 5.0),
        ("1e+100", 1e100),
        ("5e-324", 5e-324),
        ("0.1", 0.1),
        ("2.2250738585072014e-308", 2.2250738585072014e-308),
        ("9007199254740993", 9007199254740992.0),
        ("9" * 20, 1e20),
        ("9" * 30, 1e30),
    ],
)
def test_floats_are_read_to_the_last_bit(text, value):
    cells = read(value=[text, None])
    assert (cells["value"], cells[PROBLEM]) == ([value, None], [None, None])


@pytest.mark.parametrize(
    "text",
    [
        "NaN",
        "nan",
        "inf",
        "Infinity",
        "-Infinity",
        "x",
        "",
        " ",
        " 7",
        "7 ",
        "7,5",
        "1e",
        "e1",
        ".",
        "+",
        "1 0",
        "1_0",
        "0x1",
        "٣",
        "1e309",
        "1e999",
        "1e1000",
        "9" * 400,
        "7\n",
    ],
)
def test_what_is_no_finite_number_is_a_problem_and_harms_no_other_row(text):
    cells = read(value=["7.5", text, None, "8"])
    assert cells["value"] == [7.5, None, None, 8.0]
    assert cells[PROBLEM] == [None, f"value is not a number: {text}", None, None]


def test_floats_equal_their_plain_twin():
    chance = random.Random(6)
    texts = [repr(chance.uniform(-10, 10) * 10.0 ** chance.randrange(-30, 30)) for _ in range(2000)]
    assert read(value=texts)["value"] == [float(text) for text in texts]


def test_text_stays_as_it_is_and_every_bad_cell_is_named():
    cells = read(
        id=["a; b", "", None, "NaN"], at=["x", None, "y", None], amount=["z", "1", None, None]
    )
    assert cells["id"] == ["a; b", "", None, "NaN"]
    assert cells[PROBLEM] == [
        "at is not a time: x; amount is not a number: z",
        None,
        "at is not a time: y",
        None,
    ]


def test_no_rows_and_only_nulls_keep_their_types():
    assert read(id=[])[PROBLEM] == []
    cells = read(id=[None, None])
    assert all(values == [None, None] for values in cells.values())


def test_an_index_of_any_kind_is_let_pass():
    text = pd.DataFrame({"n": ["1", "x"]}, index=[7, 7])
    cells = typed(text, pa.schema({"n": pa.int64()}), {})
    assert cells.to_pydict() == {"n": [1, None], PROBLEM: [None, "n is not a number: x"]}
