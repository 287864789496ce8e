"""What the digest of a table covers, and which digests of earlier releases stay verifiable."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pytest

from jobs.core.digest import table_digest
from jobs.core.tables import DATE, Column, Source, Table

TABLE = Table(
    "checks",
    ("id",),
    (
        DATE,
        Column("id", pa.string(), "id of the check"),
        Column("message", pa.string(), "what it means", text=True),
        Column("later", pa.float64(), "duration", nullable=True, unit="seconds", added=True),
    ),
    "one row per check",
)


def rows(message: str = "fine", later: float = 1.0) -> pa.Table:
    return pa.table([[date(2018, 7, 10)], ["a"], [message], [later]], schema=TABLE.schema)


def test_the_wording_of_text_columns_is_not_content() -> None:
    assert TABLE.digest(rows("fine")) == TABLE.digest(rows("well")) != TABLE.digest(rows(later=2.0))


def test_a_digest_matches_whatever_the_wording() -> None:
    assert TABLE.matches(rows("well"), TABLE.digest(rows("fine")))


@pytest.mark.parametrize(
    "columns",
    [
        ["date", "id", "message", "later"],  # with text columns, as earlier releases counted them
        ["date", "id", "message"],  # before `later` was added
        ["date", "id"],
    ],
)
def test_digests_of_earlier_releases_match(columns: list[str]) -> None:
    digest = table_digest(rows().select(columns), TABLE.key)
    assert TABLE.matches(rows(), digest)
    assert not TABLE.matches(rows(later=2.0) if "later" in columns else rows().slice(1), digest)


def test_an_earlier_digest_with_text_still_notices_another_text() -> None:
    assert not TABLE.matches(rows("well"), table_digest(rows("fine"), TABLE.key))


def test_the_schema_follows_the_columns() -> None:
    assert TABLE.schema.names == ["date", "id", "message", "later"]
    assert [field.nullable for field in TABLE.schema] == [False, False, False, True]
    assert TABLE.added == ("later",)


def test_a_comment_has_the_meaning_and_the_unit() -> None:
    assert [column.comment for column in TABLE.columns][2:] == [
        "what it means",
        "duration (seconds)",
    ]


def test_an_extract_may_lack_what_a_good_row_must_have() -> None:
    source = Source("checks", "", {}, TABLE.columns, ("id",), None, {}, lambda *_: None)
    assert source.required == ("date", "id", "message")
    assert all(field.nullable for field in source.schema)
