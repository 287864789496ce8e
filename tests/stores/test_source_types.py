"""Types of an operational database's columns: read correctly, or refused by name.

One real PostgreSQL, one schema per case.
"""

from __future__ import annotations

import itertools
from contextlib import closing
from datetime import UTC, date, datetime
from urllib.parse import quote

import psycopg2
import pytest

from jobs.core.cast import PROBLEM, typed
from jobs.core.errors import DataError
from jobs.core.identity import Run
from jobs.steps.validate import split
from jobs.stores import source
from jobs.stores.source_types import require
from jobs.usecases.fraud.params import FraudValidateParams
from jobs.usecases.fraud.sources import SOURCES

DAY = date(2018, 7, 10)
TRANSACTIONS, LABELS = SOURCES
NOON = datetime(2018, 7, 10, 12, tzinfo=UTC)
LAST_MOMENT = datetime(2018, 7, 10, 23, 59, 59, 999999, tzinfo=UTC)
UUID = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
COLUMNS = {
    "transaction_id": "text",
    "event_time": "timestamptz",
    "customer_id": "text",
    "merchant_id": "text",
    "amount": "numeric(12,2)",
    "currency": "text",
    "country": "text",
    "device_type": "text",
    "card_last_4": "text",
}
VALUES = {
    "transaction_id": "'T1'",
    "event_time": "'2018-07-10 12:00Z'",
    "customer_id": "'C1'",
    "merchant_id": "'M1'",
    "amount": "12.5",
    "currency": "'EUR'",
    "country": "'DE'",
    "device_type": "'app'",
    "card_last_4": "'0007'",
}
PRELUDE = """
CREATE TYPE device AS ENUM ('app', 'web shop');
CREATE DOMAIN id AS text CHECK (VALUE <> '');
CREATE DOMAIN padded AS char(8);
CREATE DOMAIN of_padded AS padded;
CREATE TYPE pair AS (a int, b int);
"""
# column, its type, the value as SQL, the column of the schema, what is read
READ = {
    "char(n)": ("customer_id", "char(10)", "'C1'", "customer_id", "C1"),
    "char(n) of blanks alone": ("device_type", "char(4)", "' '", "device_type", ""),
    "varchar": ("customer_id", "varchar(3)", "'C 1'", "customer_id", "C 1"),
    "text keeps its blanks": ("country", "text", "'DE '", "country", "DE "),
    "domain": ("customer_id", "id", "'007'", "customer_id", "007"),
    "domain of a domain of char(n)": ("customer_id", "of_padded", "'C1'", "customer_id", "C1"),
    "enum": ("device_type", "device", "'web shop'", "device_type", "web shop"),
    "uuid": ("customer_id", "uuid", f"'{UUID.upper()}'", "customer_id", UUID),
    "bigint": (
        "customer_id",
        "bigint",
        "-9223372036854775808",
        "customer_id",
        "-9223372036854775808",
    ),
    "numeric id without scale": (
        "customer_id",
        "numeric",
        "18446744073709551616.000",
        "customer_id",
        "18446744073709551616",
    ),
    "numeric id with scale": ("customer_id", "numeric(8,2)", "700", "customer_id", "700"),
    "name": ("merchant_id", "name", "'M1'", "merchant_id", "M1"),
    "boolean as a category": ("device_type", "boolean", "true", "device_type", "t"),
    "amount without scale": ("amount", "numeric", "0.10000", "amount_minor", 10),
    "amount of a whole type": ("amount", "integer", "12", "amount_minor", 1200),
    "amount of float": ("amount", "double precision", "0.1", "amount_minor", 10),
    "amount as text": ("amount", "text", "'12.34'", "amount_minor", 1234),
    "generated": (
        "amount",
        "numeric GENERATED ALWAYS AS (length(customer_id) * 1.5) STORED",
        None,
        "amount_minor",
        300,
    ),
    "time without zone is UTC": (
        "event_time",
        "timestamp",
        "'2018-07-10 12:00'",
        "event_time",
        NOON,
    ),
    "time with another zone": (
        "event_time",
        "timestamptz",
        "'2018-07-10 17:30+05:30'",
        "event_time",
        NOON,
    ),
    "time of seconds": (
        "event_time",
        "timestamptz(0)",
        "'2018-07-10 12:00:00.4Z'",
        "event_time",
        NOON,
    ),
    "a date is its day": (
        "event_time",
        "date",
        "'2018-07-10'",
        "event_time",
        datetime(2018, 7, 10, tzinfo=UTC),
    ),
}
REFUSED = {
    "array": ("customer_id", "text[]", "array['C1']", r"customer_id is of type text\[\]"),
    "float id": (
        "customer_id",
        "double precision",
        "596",
        "customer_id is of type double precision.*cannot hold an exact id",
    ),
    "real id": ("merchant_id", "real", "596", "merchant_id is of type real"),
    "json": ("device_type", "jsonb", "'{}'", "device_type is of type jsonb"),
    "bytea": ("customer_id", "bytea", "'C1'", "customer_id is of type bytea"),
    "composite": ("customer_id", "pair", "(1, 2)::pair", "customer_id is of type .*pair"),
    "interval": ("amount", "interval", "'1 day'", "amount is of type interval.*an amount of money"),
    "money": ("amount", "money", "12.5", "amount is of type money.*locale"),
    "array of amounts": ("amount", "numeric[]", "array[1]", r"amount is of type numeric\[\]"),
    "time of day": (
        "event_time",
        "time",
        "'12:00'",
        "event_time has the type .*by which no day can be selected",
    ),
    "time as text": (
        "event_time",
        "text",
        "'2018-07-10 12:00'",
        "event_time has the type .*by which no day can be selected",
    ),
    "range": (
        "event_time",
        "tstzrange",
        "'[2018-07-10, 2018-07-11)'",
        "event_time has the type .*by which no day can be selected",
    ),
}


@pytest.fixture(scope="module")
def schemas(databases):
    """`schemas(statements)` runs them in a new schema and returns an address that selects there."""
    numbers = itertools.count()
    with databases("source") as dsn, closing(psycopg2.connect(dsn)) as session:

        def make(statements):
            name = f"case_{next(numbers)}"
            with session, session.cursor() as cursor:
                cursor.execute(
                    f"SET timezone = 'UTC'; CREATE SCHEMA {name}; SET search_path = {name}; "
                    f"{statements}"
                )
            return f"{dsn}&options={quote(f'-csearch_path={name}', safe='')}"

        yield make


def tables(column="", kind="", value=None, reported="timestamptz", at="'2018-07-10 13:00Z'"):
    """Both tables with a row each, one column being of another type."""
    columns = COLUMNS | ({column: kind} if column else {})
    values = {
        name: value if name == column else given
        for name, given in VALUES.items()
        if name != column or value
    }
    shown = ", ".join(f"{name} {each}" for name, each in columns.items())
    label = f"{columns['transaction_id']}, is_fraud boolean, reported_at {reported}"
    return (
        f"{PRELUDE} CREATE TABLE transactions ({shown});"
        f" INSERT INTO transactions ({', '.join(values)}) VALUES ({', '.join(values.values())});"
        f" CREATE TABLE fraud_labels (transaction_id {label});"
        f" INSERT INTO fraud_labels VALUES ({values['transaction_id']}, true, {at});"
    )


def extracted(dsn, wanted=TRANSACTIONS, day=DAY):
    """The rows of the day as extract writes them."""
    start, end = Run("fraud", "extract", day).window
    with source.connect_source(dsn) as session:
        assert source.extra_columns(session, SOURCES) == []
        text = source.read_day(session, wanted, start, end)
    return typed(text, wanted.schema, dict(wanted.money))


@pytest.mark.parametrize(("column", "kind", "value", "name", "expected"), READ.values(), ids=READ)
def test_a_type_is_read_right(schemas, column, kind, value, name, expected):
    (row,) = extracted(schemas(tables(column, kind, value))).to_pylist()
    assert row[name] == expected and row[PROBLEM] is None


@pytest.mark.parametrize(("column", "kind", "value", "said"), REFUSED.values(), ids=REFUSED)
def test_a_type_is_refused_by_name(schemas, column, kind, value, said):
    with pytest.raises(DataError, match=f"(?s)transactions.{said}"):
        extracted(schemas(tables(column, kind, value)))


def test_citext_is_refused_too():
    """The test engine lacks this extension; its type has this name wherever it is installed."""
    for kind in ("citext", "extensions.citext"):
        with pytest.raises(DataError, match=r"(?s)customer_id is of type .*citext.*ignores case"):
            require(TRANSACTIONS, {"transactions": {"customer_id": kind}})


RELATIONS = {
    "view": (
        "ALTER TABLE transactions RENAME TO kept; CREATE VIEW transactions AS SELECT * FROM kept"
    ),
    "materialised view": (
        "ALTER TABLE transactions RENAME TO kept; "
        "CREATE MATERIALIZED VIEW transactions AS SELECT * FROM kept"
    ),
    "view with a cast": (
        "ALTER TABLE transactions RENAME TO kept; ALTER TABLE kept ALTER amount TYPE money;"
        " CREATE VIEW transactions AS SELECT transaction_id, event_time, customer_id, merchant_id,"
        " amount::numeric, currency, country, device_type, card_last_4 FROM kept"
    ),
    "partitioned table": "ALTER TABLE transactions RENAME TO kept;"
    " CREATE TABLE transactions (LIKE kept) PARTITION BY RANGE (event_time);"
    " CREATE TABLE july PARTITION OF transactions FOR VALUES "
    "FROM ('2018-07-01Z') TO ('2018-08-01Z');"
    " INSERT INTO transactions SELECT * FROM kept",
    "inherited table": (
        "CREATE TABLE older () INHERITS (transactions); "
        "INSERT INTO older SELECT * FROM transactions;"
        " DELETE FROM ONLY transactions"
    ),
    "column dropped and added again": (
        "ALTER TABLE transactions ADD COLUMN gone int; ALTER TABLE transactions DROP COLUMN gone"
    ),
}


@pytest.mark.parametrize("how", RELATIONS.values(), ids=RELATIONS)
def test_whatever_can_be_selected_from_is_read(schemas, how):
    (row,) = extracted(schemas(f"{tables()} {how}")).to_pylist()
    assert (row["transaction_id"], row["event_time"], row["amount_minor"]) == ("T1", NOON, 1250)


@pytest.mark.parametrize("event", ["timestamptz", "timestamp", "date"])
@pytest.mark.parametrize("kind", ["date", "date NOT NULL", "reported_on"])
def test_a_label_reported_on_a_date_is_known_at_the_end_of_that_day(schemas, kind, event):
    dsn = schemas(
        "CREATE DOMAIN reported_on AS date; "
        + tables("event_time", event, "'2018-07-10 12:00'", reported=kind, at="'2018-07-10'")
    )
    rows = extracted(dsn, LABELS)
    assert rows["reported_at"].to_pylist() == [LAST_MOMENT]
    good, bad = split(rows, LABELS, DAY, FraudValidateParams())
    assert (good.num_rows, bad.num_rows) == (1, 0)
    assert (
        extracted(dsn, LABELS, date(2018, 7, 9)).num_rows
        == extracted(dsn, LABELS, date(2018, 7, 11)).num_rows
        == 0
    )


def test_a_label_of_a_time_is_known_at_that_time(schemas):
    assert extracted(schemas(tables(at="'2018-07-10 00:00Z'")), LABELS)[
        "reported_at"
    ].to_pylist() == [datetime(2018, 7, 10, tzinfo=UTC)]


def test_ids_of_char_and_of_text_are_the_same_id_in_both_tables(schemas):
    dsn = schemas(tables() + " ALTER TABLE fraud_labels ALTER transaction_id TYPE char(12)")
    assert (
        extracted(dsn)["transaction_id"].to_pylist()
        == extracted(dsn, LABELS)["transaction_id"].to_pylist()
        == ["T1"]
    )
