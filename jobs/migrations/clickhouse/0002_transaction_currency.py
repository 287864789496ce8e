"""`transaction_scores` gets `currency` of `amount_minor`, day by day from the lake's valid rows.

If the lake no longer has a day, its values stay null. A day is replaced atomically, as predict does
it, so a killed migration leaves every day either old or new. The digest in predict's manifest stays
valid: it covers the columns that the day was written with.
"""

from __future__ import annotations

from datetime import date

import pyarrow as pa
from clickhouse_connect.driver.binding import quote_identifier

from jobs.core import locks
from jobs.core.errors import StoreError
from jobs.core.settings import Settings
from jobs.migrations import currencies
from jobs.migrations.types import Say
from jobs.stores import clickhouse
from jobs.stores.clickhouse import ClickHouse

_TABLE = "fraud.transaction_scores"


def apply(settings: Settings, say: Say) -> None:
    for day in _days(settings):
        if (values := currencies.of_day(settings, day)) is None:
            say(f"  {_TABLE}: the lake has no rows of {day}, so currency stays null")
            continue
        # The lock first: predict holds it while it waits for the folder of chDB.
        with (
            locks.hold(settings.postgres, f"fraud/predict/{day}", "nightshift migrate"),
            clickhouse.connect_clickhouse(settings, check=False) as db,
        ):
            _fill(db, day, values)


def _days(settings: Settings) -> list[date]:
    """Add the column, and return the days that have no value in it."""
    with clickhouse.connect_clickhouse(settings, check=False) as db:
        if not db.client.query(f"EXISTS TABLE {_TABLE}").result_rows[0][0]:
            return []
        db.client.command(
            f"ALTER TABLE {_TABLE} ADD COLUMN IF NOT EXISTS currency Nullable(String)"
        )
        query = f"SELECT date FROM {_TABLE} GROUP BY date HAVING count(currency) = 0 ORDER BY date"  # noqa: S608
        return [row[0] for row in db.client.query(query).result_rows]


def _fill(db: ClickHouse, day: date, values: pa.Table) -> None:
    """Replace the day by its own rows with their currency."""
    staging = f"transaction_scores__stage_{day:%Y%m%d}_migrate"
    known = f"transaction_scores__stage_{day:%Y%m%d}_currencies"
    for name in (staging, known):
        db.drop("fraud", name)
    db.client.command(f"CREATE TABLE fraud.{quote_identifier(staging)} AS {_TABLE}")
    db.client.command(
        f"CREATE TABLE fraud.{quote_identifier(known)}"
        " (transaction_id String, currency Nullable(String))"
        " ENGINE = MergeTree ORDER BY transaction_id"
    )
    if values.num_rows:
        db.client.insert_arrow(f"fraud.{quote_identifier(known)}", values)
    db.client.command(
        f"INSERT INTO fraud.{quote_identifier(staging)} SELECT t.* REPLACE (k.currency AS currency)"  # noqa: S608
        f" FROM {_TABLE} AS t LEFT JOIN fraud.{quote_identifier(known)} AS k USING (transaction_id)"
        " WHERE t.date = {day:Date}",
        parameters={"day": day},
    )
    _same_rows(db, day, staging)
    db.swap("fraud", staging)
    db.drop("fraud", known)


def _same_rows(db: ClickHouse, day: date, staging: str) -> None:
    query = (
        f"SELECT (SELECT count() FROM {_TABLE} WHERE date = {{day:Date}}),"  # noqa: S608
        f" (SELECT count() FROM fraud.{quote_identifier(staging)})"
    )
    before, after = db.client.query(query, parameters={"day": day}).result_rows[0]
    if before != after:
        raise StoreError(
            f"{_TABLE} of {day} has {before} rows, and {after} with their currency",
            remedy="run `nightshift migrate` again; the day is as it was",
        )
