"""Simulated days: repeatable, independent of each other, and believable."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import psycopg2
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from jobs.source.load import load
from jobs.source.request import Request
from jobs.source.simulation import to_database, to_files
from jobs.source.streams import generator
from jobs.usecases.fraud.operational import compromised as fraud
from jobs.usecases.fraud.operational.day import Reporting, frauds, simulate_day
from jobs.usecases.fraud.operational.population import AT_LEAST, RADIUS, SIDE, FraudStream, populate
from jobs.usecases.fraud.operational.simulation import FraudSimulation
from jobs.usecases.fraud.operational.tables import FRAUD_LABELS, TABLES, TRANSACTIONS

START = date(2018, 4, 1)
SMALL = FraudSimulation(START, days=5, customers=300, merchants=600)


def everything(simulation: FraudSimulation) -> pa.Table:
    return pa.concat_tables(rows for _, rows in simulation.tables())


@pytest.fixture(scope="module")
def month() -> pa.Table:
    """Thirty days of the Handbook's population."""
    return everything(FraudSimulation(START, days=30, customers=5000, merchants=10_000))


def test_the_same_seed_gives_the_same_rows_and_another_one_others():
    assert everything(SMALL).equals(everything(SMALL))
    assert not everything(SMALL).equals(everything(replace(SMALL, seed=1)))


def test_a_day_depends_neither_on_the_start_nor_on_the_number_of_days():
    long = dict(replace(SMALL, days=9).tables())
    late = dict(replace(SMALL, start=START + timedelta(days=3), days=2).tables())
    for day, rows in (*SMALL.tables(), *late.items()):
        assert rows.equals(long[day])


def test_known_rows_of_a_known_seed():
    """The rows are a contract: whoever simulates this seed, on whatever machine, gets these."""
    rows = (
        simulate_day(populate(0, 50, 100), START, Reporting())
        .slice(0, 2)
        .drop_columns(["event_time", "reported_at"])
    )
    assert [tuple(row.values()) for row in rows.to_pylist()] == [
        (
            "20180401-0000000",
            "C0000043",
            "M0000075",
            Decimal("26.92"),
            "EUR",
            "FR",
            "pos",
            "2488",
            False,
        ),
        (
            "20180401-0000001",
            "C0000002",
            "M0000011",
            Decimal("63.03"),
            "EUR",
            "DE",
            "mobile",
            "3799",
            False,
        ),
    ]


def test_more_customers_leave_the_first_ones_who_they_are():
    few, many = populate(0, 100, 500), populate(0, 200, 500)
    assert (few.amount == many.amount[:100]).all()
    assert (few.nearby == many.nearby[:100]).all()
    assert few.card_last_4.equals(many.card_last_4.slice(0, 100))


def test_merchants_near_a_customer_agree_with_a_search_of_all():
    customers, merchants = 40, 3000
    population = populate(3, customers, merchants)
    homes = generator(3, FraudStream.CUSTOMERS).random((customers, 5))[:, :2] * SIDE
    places = generator(3, FraudStream.MERCHANTS).random((merchants, 2)) * SIDE
    distance = np.linalg.norm(homes[:, None] - places[None], axis=2)
    for customer in range(customers):
        near = set(np.flatnonzero(distance[customer] <= RADIUS))
        nearby = population.nearby[customer, : population.choices[customer]]
        assert set(nearby) == (
            near if len(near) >= AT_LEAST else set(np.argsort(distance[customer])[:AT_LEAST])
        )


@pytest.mark.parametrize("customers", [300, 1000, 5000])
def test_about_one_transaction_in_a_hundred_and_twenty_is_fraud(customers, month):
    rows = (
        month
        if customers == 5000
        else everything(FraudSimulation(START, 60, customers, 2 * customers))
    )
    assert 0.004 < pc.mean(rows["is_fraud"]).as_py() < 0.014


def test_a_month_looks_as_the_handbook_says(month):
    amount = month["amount"].cast(pa.float64()).to_numpy()
    genuine = amount[~month["is_fraud"].to_numpy()]
    hour = pc.hour(month["event_time"]).to_numpy()
    assert 9_300 < len(month) / 30 < 10_200
    assert 50 < genuine.mean() < 57
    assert amount.min() > 0
    assert genuine.max() <= 220  # whatever is above is fraud by the first scenario
    assert 0.72 < ((hour >= 6) & (hour < 18)).mean() < 0.78
    frauds_amount = amount[month["is_fraud"].to_numpy()]
    assert frauds_amount.mean() > 1.5 * genuine.mean()


def test_ids_are_unique_sorted_by_time_and_inside_their_day(month):
    assert pc.count_distinct(month["transaction_id"]).as_py() == len(month)
    days = pc.utf8_slice_codeunits(month["transaction_id"], 0, 8)
    assert pc.all(pc.equal(pc.strftime(month["event_time"], "%Y%m%d"), days)).as_py()
    assert (np.diff(month["event_time"].cast(pa.int64()).to_numpy()) >= 0).all()
    assert month.column_names == [*TRANSACTIONS.names, "is_fraud", "reported_at"]
    assert all(column.null_count == 0 for column in month.columns)


def test_a_customer_has_one_card_and_one_currency(month):
    cards = month.group_by("customer_id").aggregate(
        [("card_last_4", "count_distinct"), ("currency", "count_distinct")]
    )
    assert set(cards["card_last_4_count_distinct"].to_pylist()) == {1}
    assert set(cards["currency_count_distinct"].to_pylist()) == {1}
    assert set(pc.unique(month["device_type"]).to_pylist()) == {"pos", "mobile", "web"}
    assert pc.all(pc.match_substring_regex(month["card_last_4"], r"^\d{4}$")).as_py()


def test_all_transactions_of_a_compromised_merchant_are_fraud_for_28_days():
    population = populate(0, 2000, 10_000)
    today = fraud.compromised_merchants(population, START)
    assert len(today) == 56  # two a day for 28 days, as in the Handbook
    rows = simulate_day(population, START, Reporting())
    names = population.merchant_id.take(pa.array(today))
    there = rows.filter(pc.is_in(rows["merchant_id"], names))
    assert len(there) > 0
    assert pc.all(there["is_fraud"]).as_py()
    fresh = set(today) - set(fraud.compromised_merchants(population, START - timedelta(1)))
    days = [
        set(fraud.compromised_merchants(population, START + timedelta(ahead)))
        for ahead in range(30)
    ]
    for merchant in fresh:
        assert sum(merchant in day for day in days) == 28


def test_a_third_of_a_compromised_customers_transactions_are_stolen(month):
    population = populate(0, 5000, 10_000)
    seen, stolen = 0, 0
    for day in (START + timedelta(days=number) for number in range(30)):
        rows = simulate_day(population, day, Reporting())
        names = population.customer_id.take(pa.array(fraud.compromised_customers(population, day)))
        theirs = rows.filter(pc.is_in(rows["customer_id"], names))
        seen, stolen = seen + len(theirs), stolen + pc.sum(theirs["is_fraud"]).as_py()
    assert seen > 1500
    assert 0.30 < stolen / seen < 0.38


def test_the_rate_of_trouble_is_that_of_the_handbook_in_any_population():
    for merchants in (100, 777, 20_000):
        population = populate(0, 10, merchants)
        begun = [
            len(fraud.compromised_merchants(population, START + timedelta(days=number)))
            for number in range(0, 280, 28)
        ]
        assert abs(sum(begun) - merchants * 280 * 2 / 10_000) <= 1 + sum(begun) * 0.01


def test_frauds_are_reported_after_the_delay_and_its_jitter():
    population = populate(0, 500, 1000)
    exact = simulate_day(population, START, Reporting(7))
    assert set(pc.subtract(exact["reported_at"], exact["event_time"]).to_pylist()) == {
        timedelta(days=7)
    }
    loose = simulate_day(population, START, Reporting(2, 3))
    delays = pc.subtract(loose["reported_at"], loose["event_time"]).to_pylist()
    assert timedelta(days=2) <= min(delays) < max(delays) <= timedelta(days=5)
    assert loose.drop_columns(["reported_at"]).equals(exact.drop_columns(["reported_at"]))


def test_one_customer_and_one_merchant_are_enough():
    rows = everything(FraudSimulation(START, days=30, customers=1, merchants=1))
    assert set(rows["merchant_id"].to_pylist()) <= {"M0000000"}


def query(dsn, text):
    with (
        closing(psycopg2.connect(dsn, options="-c timezone=UTC")) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(text)
        return cursor.fetchall()


def contents(dsn):
    """The rows of both tables, by id."""
    return [
        query(dsn, f"SELECT * FROM {table.name} ORDER BY transaction_id")
        for table in (TRANSACTIONS, FRAUD_LABELS)
    ]


def rows_of(simulated: pa.Table):
    """What both tables should hold."""
    tables = (simulated.select(TRANSACTIONS.names), frauds(simulated))
    return [[tuple(row.values()) for row in table.to_pylist()] for table in tables]


def test_the_database_holds_what_was_simulated_and_a_second_time_writes_nothing(source_db):
    seen = []
    made = to_database(source_db, SMALL, seen.append)
    expected = rows_of(everything(SMALL))
    assert contents(source_db) == expected
    assert [made.transactions, made.frauds] == [len(rows) for rows in expected]
    assert made.frauds > 0
    assert seen == [1, 2, 3, 4, 5]
    writers = "SELECT transaction_id, xmin::text FROM transactions ORDER BY 1"
    before = query(source_db, writers)
    to_database(source_db, SMALL, seen.append)
    assert query(source_db, writers) == before


def test_files_loaded_give_the_same_tables_as_the_database(source_db, tmp_path):
    to_files(tmp_path, SMALL, lambda done: None)
    files = sorted(path.name for path in (tmp_path / "transactions").iterdir())
    assert files == [f"2018-04-0{day}.parquet" for day in range(1, 6)]
    for table in (TRANSACTIONS, FRAUD_LABELS):
        request = Request(table, (str(tmp_path / table.name / "*.parquet"),), others=TABLES)
        summary = load(source_db, request, tmp_path / "bad.csv", lambda stage, share: None)
        assert (summary.rejected, summary.ignored) == ({}, ())
    assert contents(source_db) == rows_of(everything(SMALL))


def test_parquet_files_repeat_byte_by_byte(tmp_path):
    for folder in ("a", "b"):
        to_files(tmp_path / folder, replace(SMALL, days=1), lambda done: None)
    one, two = (
        (tmp_path / folder / "transactions" / "2018-04-01.parquet") for folder in ("a", "b")
    )
    assert one.read_bytes() == two.read_bytes()
    assert pq.read_table(one).num_rows > 0
