from __future__ import annotations

from datetime import UTC, date, datetime

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg2.sql import SQL, Identifier

from jobs.core.digest import table_digest
from jobs.core.errors import ConfigError, DataError, StoreError
from jobs.stores import postgres

SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("text", pa.string()),
        ("score", pa.float64()),
        ("flag", pa.bool_()),
        ("date", pa.date32()),
        ("at", pa.timestamp("us", "UTC")),
        ("small", pa.int32()),
    ]
)
ROW = st.fixed_dictionaries(
    {
        "text": st.none()
        | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=9),
        "score": st.none() | st.floats(),
        "flag": st.none() | st.booleans(),
        "date": st.none() | st.dates(date(1900, 1, 1), date(2100, 1, 1)),
        "at": st.none()
        | st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
        "small": st.none() | st.integers(-(2**31), 2**31 - 1),
    }
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=st.lists(ROW, max_size=6))
def test_a_table_comes_back_as_it_went_in(serving_db, rows):
    table = pa.Table.from_pylist([row | {"id": n} for n, row in enumerate(rows)], schema=SCHEMA)
    columns = SQL(", ").join(
        SQL("{} {}").format(Identifier(field.name), SQL(postgres.column_type(field)))
        for field in SCHEMA
    )
    with postgres.connect_postgres(serving_db) as session, session, session.cursor() as cursor:
        cursor.execute(SQL("CREATE TABLE copied ({})").format(columns))
        postgres.copy_in(cursor, Identifier("copied"), table)
        copied = postgres.copy_out(cursor, SQL("SELECT * FROM copied"), SCHEMA)
        cursor.execute("DROP TABLE copied")
    assert copied.schema == SCHEMA and table_digest(copied, ("id",)) == table_digest(table, ("id",))


def test_a_text_that_postgres_cannot_hold_is_wrong_data(serving_db):
    table = pa.table({"id": ["a\0b"]})
    with (
        pytest.raises(DataError, match="0x00"),
        postgres.connect_postgres(serving_db) as session,
        session,
        session.cursor() as cursor,
    ):
        cursor.execute("CREATE TABLE copied (id text)")
        postgres.copy_in(cursor, Identifier("copied"), table)


def test_a_kind_that_is_not_served_is_refused_by_name():
    with pytest.raises(ConfigError, match=r"(?s)column tags.*list.*cannot be served.*one of"):
        postgres.column_type(pa.field("tags", pa.list_(pa.string())))


def test_a_server_that_does_not_answer_is_a_store_error():
    with (
        pytest.raises(StoreError, match="does not answer"),
        postgres.connect_postgres("postgresql://nobody@127.0.0.1:1/x"),
    ):
        pass
