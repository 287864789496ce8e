"""ClickHouse's contract, over chDB in this process and over a server's HTTP interface."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest

from declared import columns_of
from jobs.core import settings
from jobs.core.checks import failed
from jobs.core.digest import table_digest
from jobs.core.errors import StoreError
from jobs.core.tables import Table
from jobs.stores import clickhouse
from jobs.stores.clickhouse import ClickHouse

DAY = date(2018, 7, 10)
NEXT = DAY + timedelta(days=1)
SCORES = Table(
    name="scores",
    key=("id",),
    grain="one row a day and transaction",
    columns=columns_of(
        pa.schema(
            [
                pa.field("date", pa.date32(), nullable=False),
                pa.field("id", pa.string(), nullable=False),
                pa.field("at", pa.timestamp("us", "UTC"), nullable=False),
                pa.field("amount", pa.int64(), nullable=False),
                pa.field("flagged", pa.bool_(), nullable=False),
                pa.field("score", pa.float64()),
                pa.field("note", pa.string()),
            ]
        )
    ),
)
ODD = Table(
    name="select `from` where.x ü",
    key=("order by", "quo`te"),
    grain="it's a \\ grain, with {day:Date}",
    columns=columns_of(
        pa.schema(
            [
                pa.field("date", pa.date32(), nullable=False),
                pa.field("order by", pa.string(), nullable=False),
                pa.field("quo`te", pa.int64(), nullable=False),
                pa.field("FORMAT CSV", pa.float64()),
                pa.field("sch\\räg", pa.string()),
            ]
        )
    ),
)
TEXTS = [
    "",
    "'",
    "''",
    '"',
    "`",
    "\\",
    "\\'",
    "\\n",
    "a\nb\tc\0d",
    "'; DROP TABLE scores; --",
    "{day:Date}",
    "ü€漢🌙",
    "%s %(a)s",
    "NULL",
    "\\N",
]


def rows(*ids: str, day: date = DAY, **changes) -> pa.Table:
    base = {
        "date": day,
        "at": datetime(2018, 7, 10, 23, 59, 59, 999_999, UTC),
        "amount": 7,
        "flagged": True,
        "score": 0.5,
        "note": None,
    }
    return pa.Table.from_pylist([base | {"id": name} | changes for name in ids], SCORES.schema)


def put(
    store: ClickHouse,
    database: str,
    table: Table,
    day: date,
    table_rows: pa.Table,
    attempt: str = "a1",
) -> None:
    """As a step does it: stage, check, swap."""
    staging = store.stage(database, table, day, attempt, table_rows)
    assert failed(store.check(database, staging, table, day, table_rows.num_rows)) == []
    store.swap(database, staging)


def digest(table: pa.Table) -> str:
    return table_digest(table, ["date", "id"])


def names(store: ClickHouse, database: str) -> set[str]:
    """Every table of the database, seen past the store."""
    result = store.client.query(
        "SELECT name FROM system.tables WHERE database = {d:String}", parameters={"d": database}
    )
    return {row[0] for row in result.result_rows}


# --- stage, check, swap, read


def test_what_was_put_is_read_sorted_and_typed(store, database):
    put(store, database, SCORES, DAY, rows("c", "a", "b"))
    stored = store.read_partition(database, SCORES, DAY)
    assert stored.equals(rows("a", "b", "c"))


def test_before_the_first_day_there_is_nothing(store, database):
    assert store.read(database, SCORES, [DAY]).equals(SCORES.schema.empty_table())
    assert store.days(database, SCORES) == []


def test_staged_rows_are_invisible_until_the_swap(store, database):
    put(store, database, SCORES, DAY, rows("a"))
    staging = store.stage(database, SCORES, DAY, "a2", rows("b"))
    other = store.stage(database, SCORES, NEXT, "a3", rows("c", day=NEXT))
    assert store.read(database, SCORES, [DAY, NEXT]).column("id").to_pylist() == ["a"]
    assert store.days(database, SCORES) == [DAY]
    store.swap(database, other)
    store.swap(database, staging)
    assert store.read(database, SCORES, [DAY, NEXT]).column("id").to_pylist() == ["b", "c"]


def test_a_second_run_replaces_and_gives_the_same_digest(store, database):
    rows_put = rows("a", "b", "c", score=None)
    put(store, database, SCORES, DAY, rows_put, attempt="a1")
    first = store.read_partition(database, SCORES, DAY)
    put(store, database, SCORES, DAY, rows_put.take([2, 0, 1]), attempt="a2")
    assert store.read_partition(database, SCORES, DAY).equals(first)
    assert digest(first) == digest(rows_put)


def test_a_replacement_takes_rows_away_and_leaves_other_days(store, database):
    for offset in range(-1, 2):
        day = DAY + timedelta(days=offset)
        put(store, database, SCORES, day, rows("a", "b", day=day))
    before = {
        offset: store.read_partition(database, SCORES, DAY + timedelta(days=offset))
        for offset in (-1, 1)
    }
    put(store, database, SCORES, DAY, rows("z"))
    assert store.read_partition(database, SCORES, DAY).column("id").to_pylist() == ["z"]
    for offset, table in before.items():
        assert store.read_partition(database, SCORES, DAY + timedelta(days=offset)).equals(table)


def test_an_empty_day_drops_its_partition_only(store, database):
    put(store, database, SCORES, DAY, rows("a"))
    put(store, database, SCORES, NEXT, rows("b", day=NEXT))
    put(store, database, SCORES, DAY, rows())
    assert store.read_partition(database, SCORES, DAY).num_rows == 0
    assert store.days(database, SCORES) == [NEXT]
    assert names(store, database) == {"scores"}


def test_an_empty_day_in_a_new_table(store, database):
    put(store, database, SCORES, DAY, rows())
    assert store.read_partition(database, SCORES, DAY).equals(SCORES.schema.empty_table())


def test_days_are_in_order(store, database):
    for day in (NEXT, date(2017, 12, 31), DAY):
        put(store, database, SCORES, day, rows("a", day=day))
    assert store.days(database, SCORES) == [date(2017, 12, 31), DAY, NEXT]


@pytest.mark.parametrize("count", [100, 400])
def test_many_days_are_read_at_once(store, database, count):
    """400 dates no longer fit into a URL: the client then sends a form."""
    days = [DAY + timedelta(days=offset) for offset in range(count)]
    put(store, database, SCORES, DAY, rows("a"))
    for at in range(0, count, 100):  # an insert may touch 100 partitions
        some = pa.concat_tables([rows("a", "b", day=day) for day in days[at : at + 100]])
        store.client.insert_arrow("scores", some, database=database)
    stored = store.read(database, SCORES, [*days[1:], date(1999, 1, 1)])
    assert stored.equals(pa.concat_tables([rows("a", "b", day=day) for day in days[1:]]))


def test_no_days_are_no_rows(store, database):
    put(store, database, SCORES, DAY, rows("a"))
    assert store.read(database, SCORES, []).num_rows == 0


# --- checks


@pytest.mark.parametrize(
    ("given", "expected", "wrong"),
    [
        (rows("a", "b"), 2, set()),
        (rows(), 0, set()),
        (rows("a", "b"), 3, {"scores.rows"}),
        (rows("a", "a"), 2, {"scores.unique_keys"}),
        (rows("a", ""), 2, {"scores.empty_keys"}),
        (pa.concat_tables([rows("a"), rows("b", day=NEXT)]), 2, {"scores.other_dates"}),
        (
            rows("", "", day=NEXT),
            3,
            {"scores.rows", "scores.unique_keys", "scores.empty_keys", "scores.other_dates"},
        ),
    ],
)
def test_checks_of_the_staged_rows(store, database, given, expected, wrong):
    staging = store.stage(database, SCORES, DAY, "a1", given)
    checks = store.check(database, staging, SCORES, DAY, expected)
    assert len(checks) == 4 and all(check.severity == "fail" for check in checks)
    assert {check.name for check in failed(checks)} == wrong


def test_a_key_of_two_columns_is_unique_together(store, database):
    pairs = [("a", 1), ("a", 2), ("b", 1)]
    rows_put = pa.Table.from_pylist(
        [{"date": DAY, "order by": left, "quo`te": right} for left, right in pairs], ODD.schema
    )
    staging = store.stage(database, ODD, DAY, "a1", rows_put)
    assert failed(store.check(database, staging, ODD, DAY, 3)) == []


# --- dead attempts


def test_what_dead_attempts_at_the_day_left_is_dropped(store, database):
    store.stage(database, SCORES, DAY, "dead1", rows("a"))
    other_day = store.stage(database, SCORES, NEXT, "alive", rows("a", day=NEXT))
    put(store, database, SCORES, DAY, rows("b"), attempt="a2")
    assert names(store, database) == {"scores", other_day}
    assert store.read_partition(database, SCORES, DAY).column("id").to_pylist() == ["b"]


def test_the_same_attempt_may_stage_again(store, database):
    store.stage(database, SCORES, DAY, "a1", rows("a"))
    put(store, database, SCORES, DAY, rows("b"), attempt="a1")
    assert store.read_partition(database, SCORES, DAY).column("id").to_pylist() == ["b"]


def test_a_table_whose_name_begins_the_same_keeps_its_staging(store, database):
    longer = Table(name="scores_daily", key=SCORES.key, columns=SCORES.columns, grain=SCORES.grain)
    kept = store.stage(database, longer, DAY, "a1", rows("a"))
    put(store, database, SCORES, DAY, rows("b"))
    assert kept in names(store, database)


# --- values and names


def test_texts_come_back_as_they_were(store, database):
    rows_put = pa.concat_tables([rows(f"{at}{text}", note=text) for at, text in enumerate(TEXTS)])
    put(store, database, SCORES, DAY, rows_put)
    assert digest(store.read_partition(database, SCORES, DAY)) == digest(rows_put)


@pytest.mark.parametrize(
    "attempt",
    ["manual__2018-07-10T02:00:00.000+00:00", "it's `a` \\ try", "ü🌙", "{day:Date}", "%s"],
)
def test_any_attempt_id_will_do(store, database, attempt):
    put(store, database, SCORES, DAY, rows("dead"), attempt=f"{attempt}0")
    put(store, database, SCORES, DAY, rows("a"), attempt=attempt)
    assert store.read_partition(database, SCORES, DAY).column("id").to_pylist() == ["a"]
    assert names(store, database) == {"scores"}


def test_names_that_need_quoting(store, database):
    pipeline = f"{database}' `drop` ü-1"
    values = [
        {"date": DAY, "order by": text, "quo`te": at, "FORMAT CSV": None, "sch\\räg": text}
        for at, text in enumerate(TEXTS)
        if text
    ]
    rows_put = pa.Table.from_pylist(values, ODD.schema)
    put(store, pipeline, ODD, DAY, rows_put)
    put(store, pipeline, ODD, DAY, rows_put)
    stored = store.read_partition(pipeline, ODD, DAY)
    assert stored.to_pylist() == sorted(
        values, key=lambda row: (row["order by"].encode(), row["quo`te"])
    )
    assert store.days(pipeline, ODD) == [DAY] and names(store, pipeline) == {ODD.name}


def test_the_grain_is_documented_in_the_table(store, database):
    put(store, database, ODD, DAY, ODD.schema.empty_table())
    query = "SELECT comment FROM system.tables WHERE database = {d:String}"
    assert store.client.query(query, parameters={"d": database}).result_rows == [(ODD.grain,)]


def test_the_meaning_is_documented_in_the_column(store, database):
    put(store, database, ODD, DAY, ODD.schema.empty_table())
    query = (
        "SELECT name, comment FROM system.columns"
        " WHERE database = {d:String} AND table = {t:String} ORDER BY position"
    )
    parameters = {"d": database, "t": ODD.name}
    assert store.client.query(query, parameters=parameters).result_rows == [
        (column.name, column.comment) for column in ODD.columns
    ]


def test_one_partition_a_day_in_a_merge_tree(store, database):
    put(store, database, SCORES, DAY, rows("a"))
    query = (
        "SELECT engine, partition_key, sorting_key FROM system.tables WHERE database = {d:String}"
    )
    assert store.client.query(query, parameters={"d": database}).result_rows == [
        ("MergeTree", "date", "(id)")
    ]


def test_numbers_and_nulls_come_back_as_they_were(store, database):
    numbers = [
        None,
        float("nan"),
        float("inf"),
        float("-inf"),
        -0.0,
        5e-324,
        0.1,
        1.7976931348623157e308,
    ]
    amounts = [0, -1, 2**63 - 1, -(2**63), 1, 2, 3, 4]
    rows_put = pa.concat_tables(
        [
            rows(str(at), score=score, amount=amounts[at], flagged=at % 2 == 0)
            for at, score in enumerate(numbers)
        ]
    )
    put(store, database, SCORES, DAY, rows_put)
    stored = store.read_partition(database, SCORES, DAY)
    assert digest(stored) == digest(rows_put)
    assert stored.column("score").null_count == 1 and stored.column("note").null_count == len(
        numbers
    )


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_times_are_kept_to_the_microsecond(store, database, zone, monkeypatch):
    monkeypatch.setenv("TZ", zone)
    texts = [
        "1925-01-01T00:00:00.000001",
        "1970-01-01T00:00:00",
        "2018-03-25T01:30:00.123456",
        "2018-11-04T05:59:59.999999",
        "2262-01-01T00:00:00",
    ]
    times = [datetime.fromisoformat(text).replace(tzinfo=UTC) for text in texts]
    put(
        store,
        database,
        SCORES,
        DAY,
        pa.concat_tables([rows(str(n), at=time) for n, time in enumerate(times)]),
    )
    assert store.read_partition(database, SCORES, DAY).column("at").to_pylist() == times


def test_columns_in_another_order_and_narrower_types_are_fitted(store, database):
    rows_put = rows("a", "b")
    other = rows_put.set_column(3, "amount", rows_put.column("amount").cast(pa.int32())).select(
        rows_put.column_names[::-1]
    )
    put(store, database, SCORES, DAY, other)
    assert store.read_partition(database, SCORES, DAY).equals(rows_put)


def test_texts_in_parameters_are_bound(store):
    for text in TEXTS:
        query = "SELECT {text:String} AS text"
        assert store.client.query(query, parameters={"text": text}).result_rows == [(text,)]


# --- readers during writes


def generation(number: int, size: int) -> pa.Table:
    """Rows that all carry `number`; how many there are depends on it too."""
    ids = pa.array([f"{at:06}" for at in range(size + number % 3)])
    plain = rows("")
    column = {name: pa.repeat(plain.column(name)[0], len(ids)) for name in plain.column_names}
    return pa.table(column | {"id": ids, "amount": pa.repeat(number, len(ids))}).cast(SCORES.schema)


def test_a_reader_never_sees_a_mixture_during_50_swaps(connect, store, database):
    size, seen, wrong, done = 2_000, set(), [], threading.Event()
    put(store, database, SCORES, DAY, generation(0, size))
    connected = threading.Event()

    def read() -> None:
        with connect() as reader:
            connected.set()
            while not done.is_set():
                stored = reader.read_partition(database, SCORES, DAY)
                numbers = stored.column("amount").unique().to_pylist()
                seen.update(numbers)
                if len(numbers) != 1 or stored.num_rows != size + numbers[0] % 3:
                    wrong.append((numbers, stored.num_rows))

    def read_or_tell() -> None:
        try:
            read()
        except Exception as error:
            wrong.append(error)

    thread = threading.Thread(target=read_or_tell)
    thread.start()
    # Whoever opens chDB finishes the swaps of dead processes, and would take a live one for such.
    connected.wait(60)
    try:
        for number in range(1, 51):
            put(store, database, SCORES, DAY, generation(number, size), attempt=f"a{number}")
    finally:
        done.set()
        thread.join()
    assert wrong == []
    assert len(seen) >= 5, "the reader hardly read during the writes"


# --- errors


def test_a_failed_statement_says_what_clickhouse_said(connect, database):
    with pytest.raises(StoreError) as caught, connect() as store:
        put(store, database, SCORES, DAY, rows("a"))
        store.check(database, "absent", SCORES, DAY, 0)
    text = str(caught.value)
    assert "absent" in text and "UNKNOWN" in text and "run the step again" in text
    assert caught.value.exit_code == 75


def test_an_error_of_ours_passes_as_it_is(connect):
    with pytest.raises(ZeroDivisionError), connect():
        _ = 1 / 0


def test_after_an_error_it_opens_again(connect, database):
    with pytest.raises(StoreError), connect() as store:
        store.client.command("no statement")
    with connect() as store:
        put(store, database, SCORES, DAY, rows("a"))


def test_settings_name_the_store(clickhouse_dsn, connect):
    assert settings.load().clickhouse == clickhouse_dsn
    with clickhouse.connect_clickhouse(settings.load(), wait=0) as store:
        assert store.client.command("SELECT 1") == 1
