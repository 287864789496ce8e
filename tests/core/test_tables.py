"""What the digest of a table covers, and which digests of earlier releases stay verifiable."""

from __future__ import annotations

import pyarrow as pa
import pytest

from jobs.core.digest import table_digest
from jobs.core.tables import Table

SCHEMA = pa.schema(
    {"date": pa.date32(), "id": pa.string(), "message": pa.string(), "later": pa.string()}
)
TABLE = Table("checks", ("id",), SCHEMA, "one row per check", added=("later",), text=("message",))


def rows(message: str = "fine", later: str = "x") -> pa.Table:
    return pa.table([[None], ["a"], [message], [later]], schema=SCHEMA)


def test_the_wording_of_text_columns_is_not_content() -> None:
    assert TABLE.digest(rows("fine")) == TABLE.digest(rows("well")) != TABLE.digest(rows(later="y"))


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
    assert not TABLE.matches(rows(later="y") if "later" in columns else rows().slice(1), digest)


def test_an_earlier_digest_with_text_still_notices_another_text() -> None:
    assert not TABLE.matches(rows("well"), table_digest(rows("fine"), TABLE.key))
