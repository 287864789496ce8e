"""Any text works as an id: the same text in every store, and one row for each in lookups.

A day, whatever its clocks do, is the rows of its 24 hours and no others.
"""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, date, datetime, timedelta

import psycopg2
import pyarrow as pa
import pytest
from psycopg2.extras import execute_values
from serving_cases import NOON, night

from declared import columns_of
from jobs.core import settings
from jobs.core.cast import typed
from jobs.core.checks import failed
from jobs.core.identity import Run
from jobs.core.tables import Table
from jobs.serving import lookup as client
from jobs.serving import stores
from jobs.serving.publish import Edition
from jobs.serving.verify import verify
from jobs.source.database import writing
from jobs.steps.validate import split
from jobs.stores import clickhouse, source
from jobs.stores.lake import Lake
from jobs.usecases.fraud.operational.tables import TABLES
from jobs.usecases.fraud.params import FraudValidateParams
from jobs.usecases.fraud.sources import SOURCES

TRANSACTIONS = SOURCES[0]
DAY = date(2018, 7, 10)
# Clocks change in Berlin or in New York, a leap day, the last day of a year.
ODD_DAYS = [
    date(2018, 3, 11),
    date(2018, 3, 25),
    date(2018, 10, 28),
    date(2018, 11, 4),
    date(2016, 2, 29),
    date(2018, 12, 31),
]
IDS = [
    "7",
    "007",
    "7.0",
    "-5",
    "+5",
    "1e3",
    "18446744073709551616",
    "9" * 40,
    "0x1F",
    "a/b:c%20d",
    "a%2Fb",
    "a%252Fb",
    "a:b",
    "a",
    "b",
    "%",
    "%%s",
    "{}",
    "漢字 テスト",
    "Ünï€🌙",
    "é",
    "e\u0301",
    "Ω",
    "\u2126",
    "İ",
    "i",
    "I",
    "ı",
    " lead",
    "trail ",
    "two  blanks",
    "O'Brien",
    '"',
    "\\",
    "\\N",
    "\\x41",
    "NULL",
    "null",
    "None",
    "nan",
    "NaN",
    "inf",
    "true",
    "t",
    "2018-07-10",
    "a,b",
    "a;b",
    "a|b",
    "a*b?[c]",
    "ns:fraud:current",
    "x" * 300,
    "'; DROP TABLE transactions; --",
    "<script>",
    "\u202eabc",
    "\ufeffbom",
]


def columns(*texts, **others):
    fields = [
        pa.field("date", pa.date32(), nullable=False),
        *(pa.field(name, pa.string(), nullable=False) for name in texts),
    ]
    return columns_of(pa.schema([*fields, *others.items()]))


RISK = Table(
    "risk",
    ("customer_id",),
    columns("customer_id", amount=pa.int64()),
    "one row per customer",
    "entity",
)
PAIRS = Table(
    "pairs",
    ("customer_id", "merchant_id"),
    columns("customer_id", "merchant_id"),
    "one row per pair",
    "event",
)


def insert(dsn, rows):
    with writing(dsn, TABLES) as cursor:
        query = (
            "INSERT INTO transactions (transaction_id, event_time, customer_id, merchant_id, "
            "amount) VALUES %s"
        )
        execute_values(cursor, query, rows)


def good_rows(dsn, day):
    """What extract and validate make of a day."""
    start, end = Run("fraud", "extract", day).window
    with source.connect_source(dsn) as session:
        text = source.read_day(session, TRANSACTIONS, start, end)
    good, bad = split(
        typed(text, TRANSACTIONS.schema, dict(TRANSACTIONS.money)),
        TRANSACTIONS,
        day,
        FraudValidateParams(),
    )
    assert bad.num_rows == 0, bad.to_pylist()
    return good


def test_an_id_goes_through_every_store_as_it_is(
    source_db, serving_db, redis_url, tmp_path, monkeypatch
):
    assert len(set(IDS)) == len(IDS)
    insert(source_db, [(name, f"{DAY} 12:00Z", name, IDS[-1 - n], n) for n, name in enumerate(IDS)])
    good = good_rows(source_db, DAY)
    assert sorted(good["customer_id"].to_pylist()) == sorted(IDS)

    lake = Lake(str(tmp_path / "lake"))
    kept = lake.read_table(
        lake.write_table(f"fraud/validate/{DAY}", "transactions", good, TRANSACTIONS.key)
    )
    when = pa.array([DAY] * kept.num_rows, pa.date32())
    risk = pa.table([when, kept["customer_id"], kept["amount_minor"]], RISK.schema)
    pairs = pa.table([when, kept["customer_id"], kept["merchant_id"]], PAIRS.schema)

    monkeypatch.setenv(settings.CLICKHOUSE, f"chdb:///{tmp_path / 'clickhouse'}")
    contents = {}
    with clickhouse.connect_clickhouse(settings.load()) as db:
        for table, rows in ((RISK, risk), (PAIRS, pairs)):
            staging = db.stage("demo", table, DAY, "a1", rows)
            assert failed(db.check("demo", staging, table, DAY, len(IDS))) == []
            db.swap("demo", staging)
            contents[table] = db.read_partition("demo", table, DAY)

    with stores.connect_serving_stores(serving_db, redis_url, "demo", (RISK, PAIRS)) as both:
        done = night(both, Edition(DAY, contents, None, None), NOON)
        for n, name in enumerate(IDS):
            expected = {"version": done.version, "date": str(DAY), "customer_id": name}
            answers = [
                (
                    client.from_postgres(both.session, table, key),
                    client.from_redis(both.redis, table, key),
                )
                for table, key in ((RISK, (name,)), (PAIRS, (name, IDS[-1 - n])))
            ]
            assert answers[0] == (expected | {"amount": n * 100},) * 2
            assert answers[1] == (expected | {"merchant_id": IDS[-1 - n]},) * 2
        assert failed(verify(both, DAY, done.version, contents, 1000)) == []


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Asia/Kolkata"])
@pytest.mark.parametrize("day", ODD_DAYS, ids=str)
def test_a_day_is_its_24_hours_in_utc_whatever_the_clocks_of_the_upstream_do(
    source_zone, day, zone
):
    dsn, fill = source_zone
    fill(zone)
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    hours = [start + timedelta(hours=n) for n in range(24)]
    times = good_rows(dsn, day)["event_time"].to_pylist()
    assert sorted(times) == sorted([*hours, start + timedelta(days=1) - timedelta(microseconds=1)])


@pytest.fixture(scope="module")
def source_zone(databases):
    """A source with hourly events, and one at the last instant of each day.

    Its days are made odd by clocks or years.
    """
    with databases("source") as dsn:
        rows = []
        for around in ODD_DAYS:
            begin = datetime(around.year, around.month, around.day, tzinfo=UTC) - timedelta(days=1)
            moments = [begin + timedelta(hours=n) for n in range(72)]
            moments += [begin + timedelta(days=n + 1) - timedelta(microseconds=1) for n in range(3)]
            rows += [(f"{moment:%Y%m%d%H%M%S.%f}", moment, "c", "m", 1) for moment in moments]
        insert(dsn, rows)

        def at_home_in(zone):
            with closing(psycopg2.connect(dsn)) as session, session, session.cursor() as cursor:
                cursor.execute(
                    f'ALTER ROLE CURRENT_USER IN DATABASE "{session.info.dbname}" '
                    f"SET timezone = '{zone}'"
                )

        yield dsn, at_home_in
