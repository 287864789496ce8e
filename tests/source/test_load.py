"""Loading files into the operational tables: good files, bad files, bad rows."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import psycopg2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.core.errors import ConfigError, DataError, StoreError
from jobs.source.csv_file import CsvFormat
from jobs.source.dialect import Dialect
from jobs.source.load import load
from jobs.source.request import Request
from jobs.usecases.fraud.operational.labels import LabelRule, labelled_transactions
from jobs.usecases.fraud.operational.tables import FRAUD_LABELS, TABLES, TRANSACTIONS

HEADER = "transaction_id,event_time,customer_id,merchant_id,amount"
T1 = "t1,2018-04-01 00:00:31,c1,m1,57.16"
T2 = "t2,2018-04-01 12:00:00,c2,m1,8.00"
AT = datetime(2018, 4, 1, 0, 0, 31, tzinfo=UTC)


def labelled(*rule, **options):
    """The reading of transactions with labels."""
    return labelled_transactions(LabelRule(*rule, **options))


def rows(dsn, query="SELECT * FROM transactions ORDER BY transaction_id"):
    with (
        closing(psycopg2.connect(dsn, options="-c timezone=UTC")) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(query)
        return cursor.fetchall()


def tables(dsn):
    return {
        name for (name,) in rows(dsn, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    }


@pytest.fixture
def file(tmp_path):
    def write(*lines, name="rows.csv", header=HEADER):
        path = tmp_path / name
        path.write_text("\n".join([header, *lines, ""]))
        return path

    return write


@pytest.fixture
def run(source_db, tmp_path):
    def load_files(*paths, table=TRANSACTIONS, max_bad_fraction=1.0, **options):
        request = Request(
            table,
            tuple(map(str, paths)),
            max_bad_fraction=max_bad_fraction,
            others=TABLES,
            **options,
        )
        summary = load(
            source_db, request, tmp_path / "rejects" / "bad.csv", lambda stage, share: None
        )
        rejected = sum(summary.rejected.values())
        assert summary.read == summary.loaded + summary.duplicates + rejected
        return summary

    return load_files


@pytest.fixture
def rejects(tmp_path):
    def read():
        with (tmp_path / "rejects" / "bad.csv").open(newline="") as stream:
            return [(row["line"], row["reason"], row["value"]) for row in csv.DictReader(stream)]

    return read


def test_a_csv_file_becomes_rows_and_what_it_lacks_is_null(source_db, run, file):
    summary = run(file(T1, T2), constants={"currency": "EUR"})
    assert (summary.read, summary.loaded, summary.written, summary.rejects) == (2, 2, 2, None)
    assert rows(source_db)[0] == ("t1", AT, "c1", "m1", Decimal("57.16"), "EUR", None, None, None)


def test_parquet_with_a_map_and_labels(source_db, run, tmp_path):
    frame = {
        "ID": [1, 2, 3],
        "AT": [datetime(2018, 4, 1), datetime(2018, 4, 2), datetime(2018, 4, 3)],
        "EUR": [1.005, 2.5, -7.0],
        "FRAUD": pa.array([0, 1, None], pa.int8()),
        "NOTE": ["a", "b", "c"],
    }
    pq.write_table(pa.table(frame), tmp_path / "rows.parquet")
    columns = {"transaction_id": "ID", "event_time": "AT", "amount": "EUR"}
    summary = run(tmp_path / "*.parquet", columns=columns, reading=labelled("FRAUD"))
    assert (summary.loaded, summary.companions, summary.ignored) == (3, {"labels": 1}, ("NOTE",))
    amounts = rows(source_db, "SELECT transaction_id, amount FROM transactions ORDER BY 1")
    # Negative amounts are for the validate step to judge.
    assert amounts == [("1", Decimal("1.01")), ("2", Decimal("2.50")), ("3", Decimal("-7.00"))]
    reported = datetime(2018, 4, 9, tzinfo=UTC)
    assert rows(source_db, "SELECT * FROM fraud_labels") == [("2", True, reported)]

    summary = run(
        tmp_path / "*.parquet",
        columns=columns,
        reading=labelled("FRAUD", timedelta(days=1), genuine=True),
    )
    assert (summary.written, summary.companions) == (0, {"labels": 2})
    labels = rows(source_db, "SELECT transaction_id, is_fraud FROM fraud_labels ORDER BY 1")
    assert labels == [("1", False), ("2", True)]


def test_a_label_that_is_taken_back_is_overwritten(source_db, run, file):
    header = f"{HEADER},fraud"
    run(file(f"{T1},1", f"{T2},0", header=header), reading=labelled("fraud"))
    run(file(f"{T1},0", f"{T2},0", header=header), reading=labelled("fraud"))
    assert rows(source_db, "SELECT transaction_id, is_fraud FROM fraud_labels") == [("t1", False)]


def test_labels_from_a_file_of_their_own(source_db, run, file):
    path = file("t1,2018-04-08", "t9,2018-05-01T10:00:00+02:00", header="tx,booked")
    columns = {"transaction_id": "tx", "reported_at": "booked"}
    run(path, table=FRAUD_LABELS, columns=columns, constants={"is_fraud": "true"})
    assert rows(source_db, "SELECT * FROM fraud_labels ORDER BY 1") == [
        ("t1", True, datetime(2018, 4, 8, 23, 59, 59, 999_999, tzinfo=UTC)),
        ("t9", True, datetime(2018, 5, 1, 8, tzinfo=UTC)),
    ]


def test_the_same_file_twice_leaves_the_same_rows_and_a_changed_one_replaces_them(
    source_db, run, file
):
    run(file(T1, T2))
    before = rows(source_db, "SELECT xmin::text, t.* FROM transactions t ORDER BY transaction_id")
    assert run(file(T1, T2)).written == 0
    assert (
        rows(source_db, "SELECT xmin::text, t.* FROM transactions t ORDER BY transaction_id")
        == before
    )
    assert run(file(T1, T2.replace("8.00", "9.00"))).written == 1
    assert rows(source_db, "SELECT amount FROM transactions WHERE transaction_id = 't2'") == [
        (Decimal("9.00"),)
    ]


def test_local_times(source_db, run, file):
    run(file("t1,2018-07-01 12:00:00,,,"), dialect=Dialect("Europe/Berlin"))
    assert rows(source_db)[0][1] == datetime(2018, 7, 1, 10, tzinfo=UTC)


def test_every_bad_row_is_told_and_the_good_ones_go_on(source_db, run, file, rejects):
    summary = run(
        file(
            T1,
            "t3,yesterday,c1,m1,1",
            "t4,,c1,m1,1",
            ",2018-04-01,c1,m1,1",
            "t5,2018-04-01,c1,m1,NaN",
            "t6,2018-04-01,c1,m1,inf",
            "t7,2018-04-01,c1,m1,free",
            "t8,2018-04-01,c1,m1,1e12",
            "t9,2018-04-01,c1,m1",
            "nonsense,nowhere,c1,m1,free",
            "n\0l,2018-04-01,c1,m1,1",
            "big,2018-04-01,c1,m1,-999999999999.99",
            T2,
        )
    )
    assert rejects() == [
        ("10", "has 4 columns where the header has 5", "t9,2018-04-01,c1,m1"),
        ("12", "transaction_id holds a NUL character", "n\0l"),
        ("5", "transaction_id is missing", ""),
        ("3", "event_time is not an ISO 8601 time", "yesterday"),
        ("11", "event_time is not an ISO 8601 time", "nowhere"),
        ("4", "event_time is missing", ""),
        ("6", "amount is NaN or infinite", "NaN"),
        ("7", "amount is NaN or infinite", "inf"),
        ("8", "amount is not a number", "free"),
        ("9", "amount does not fit numeric(14,2)", "1e12"),
    ]
    assert summary.rejected["event_time is not an ISO 8601 time"] == 2
    assert (summary.read, summary.loaded) == (13, 3)
    assert [row[0] for row in rows(source_db)] == ["big", "t1", "t2"]


def test_a_nan_amount_in_parquet_is_rejected_and_a_missing_one_is_not(
    source_db, run, tmp_path, rejects
):
    amounts = pa.array([float("nan"), None, float("-inf")], from_pandas=False)
    frame = {"transaction_id": ["a", "b", "c"], "event_time": [AT] * 3, "amount": amounts}
    pq.write_table(pa.table(frame), tmp_path / "rows.parquet")
    run(tmp_path / "rows.parquet")
    assert [(row, reason) for row, reason, _ in rejects()] == [
        ("1", "amount is NaN or infinite"),
        ("3", "amount is NaN or infinite"),
    ]
    assert [(row[0], row[4]) for row in rows(source_db)] == [("b", None)]


def test_too_many_bad_rows_load_nothing_and_the_error_counts_them(
    source_db, run, file, tmp_path, rejects
):
    bad = file(T1, "t3,yesterday,,,1", "t4,2018-04-01,,,x", "t5,today,,,1")
    with pytest.raises(DataError) as failed:
        run(bad, max_bad_fraction=0.5)
    text = str(failed.value)
    assert "3 of 4 rows cannot be loaded" in text
    assert "2 × event_time is not an ISO 8601 time; 1 × amount is not a number" in text
    assert str(tmp_path / "rejects" / "bad.csv") in text
    assert [row for row, _, _ in rejects()] == ["3", "5", "4"]
    assert tables(source_db) == set()


def test_one_bad_row_in_a_thousand_is_the_default_limit(source_db, file, tmp_path):
    def try_load(good):
        path = file(*(f"t{row},2018-04-01,,,1" for row in range(good)), "bad,never,,,1")
        request = Request(TRANSACTIONS, (str(path),), others=TABLES)
        return load(source_db, request, tmp_path / f"{good}.csv", lambda stage, share: None)

    assert try_load(999).loaded == 999
    with pytest.raises(DataError, match="1 of 999 rows"):
        try_load(998)


def test_equal_repeats_are_counted_and_contradicting_ones_are_all_rejected(
    source_db, run, file, rejects
):
    first = file(T1, T2, "t3,2018-04-01,c,m,1", name="a.csv")
    again = file(T1.replace("57.16", "57.160"), "t3,2018-04-01,c,m,2", T1, name="b.csv")
    summary = run(first, again)
    assert (summary.read, summary.loaded, summary.duplicates) == (6, 2, 2)
    reason = "transaction_id occurs again with different content"
    assert rejects() == [("4", reason, "t3"), ("3", reason, "t3")]
    assert [row[0] for row in rows(source_db)] == ["t1", "t2"]


def test_a_label_that_contradicts_itself_is_a_conflict(run, file):
    summary = run(
        file(f"{T1},0", f"{T1},1", T2 + ",0", header=f"{HEADER},fraud"),
        reading=labelled("fraud"),
    )
    assert summary.rejected == {"transaction_id occurs again with different content": 2}


def test_a_missing_file_and_a_pattern_without_match(run, tmp_path):
    with pytest.raises(DataError, match="no file matches") as failed:
        run(tmp_path / "nothing-*.csv")
    assert str(tmp_path / "nothing-*.csv") in str(failed.value)


def test_a_mapped_column_that_is_missing_is_named_with_those_that_are_there(source_db, run, file):
    with pytest.raises(
        DataError, match="no column 'SUM' for amount; the file has transaction_id, event_time"
    ):
        run(file(T1), columns={"amount": "SUM"})
    with pytest.raises(DataError, match="no column 'event_time' for event_time"):
        run(file("t1", header="transaction_id"))
    with pytest.raises(DataError, match="no column 'FRAUD' for is_fraud"):
        run(file(T1), reading=labelled("FRAUD"))
    assert tables(source_db) == set()


def test_a_column_that_is_there_twice_is_told(run, file):
    with pytest.raises(DataError, match="'amount' occurs more than once"):
        run(file(T1 + ",3", header=f"{HEADER},amount"))


def test_a_column_of_a_type_that_cannot_be_read_is_told(run, tmp_path):
    pq.write_table(
        pa.table({"transaction_id": ["a"], "event_time": [1522540831]}), tmp_path / "rows.parquet"
    )
    with pytest.raises(
        DataError, match=r"'event_time' is int64, which cannot be read as event_time \(time\)"
    ):
        run(tmp_path / "rows.parquet")


@pytest.mark.parametrize("kept", [0, 3, 200, -4])
def test_a_truncated_parquet_file_loads_nothing(source_db, run, file, tmp_path, kept):
    whole = tmp_path / "whole.parquet"
    pq.write_table(pa.table({"transaction_id": ["a"] * 500, "event_time": [AT] * 500}), whole)
    cut = tmp_path / "cut.parquet"
    cut.write_bytes(whole.read_bytes()[:kept])
    with pytest.raises(DataError, match="cannot be read as a parquet file") as failed:
        run(file(T1), cut)
    assert str(cut) in str(failed.value)
    assert tables(source_db) == set()


def test_a_parquet_file_with_a_hole_in_its_pages_loads_nothing(source_db, run, tmp_path):
    path = tmp_path / "rows.parquet"
    ids = [f"transaction {row}" for row in range(5000)]
    pq.write_table(pa.table({"transaction_id": ids, "event_time": [AT] * 5000}), path)
    content = bytearray(path.read_bytes())
    content[4:2000] = bytes(1996)
    path.write_bytes(content)
    with pytest.raises(DataError, match="cannot be read as a parquet file"):
        run(path)
    assert tables(source_db) == set()


def test_an_empty_file_fails_and_a_file_without_rows_loads_none(run, file, tmp_path):
    (tmp_path / "empty.csv").touch()
    with pytest.raises(DataError, match="the file is empty"):
        run(tmp_path / "empty.csv")
    assert run(file()).read == 0


def test_bytes_that_are_no_text_fail_and_their_encoding_reads_them(source_db, run, tmp_path):
    path = tmp_path / "rows.csv"
    content = f"{HEADER}\nt1,2018-04-01,Zoë,m1,1\n".encode("latin-1")
    path.write_bytes(content)
    with pytest.raises(
        DataError, match=f"the bytes eb at offset {content.index(0xEB)} are no utf-8 text"
    ):
        run(path)
    run(path, csv=CsvFormat("latin-1"))
    assert rows(source_db)[0][2] == "Zoë"


def test_unknown_columns_and_zones_are_told_before_anything_is_read():
    with pytest.raises(ConfigError, match="no column 'price' to load"):
        Request(TRANSACTIONS, ("x",), {"price": "P"})
    with pytest.raises(ConfigError, match="both --map and --const name currency"):
        Request(TRANSACTIONS, ("x",), {"currency": "C"}, {"currency": "EUR"})
    with pytest.raises(ConfigError, match="no time zone 'Mars/Olympus'"):
        Dialect("Mars/Olympus")


def test_the_tables_have_their_keys_and_indexes_from_the_first_load_on(source_db, run, file):
    indexes = "SELECT indexname FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1"
    for _ in range(2):
        run(file(T1))
        assert [name for (name,) in rows(source_db, indexes)] == [
            "fraud_labels_pkey",
            "fraud_labels_reported_at",
            "nightshift_migrations_pkey",
            "transactions_event_time",
            "transactions_pkey",
        ]


def test_a_database_that_does_not_answer(file, tmp_path):
    request = Request(TRANSACTIONS, (str(file(T1)),))
    with pytest.raises(
        StoreError, match=r"PostgreSQL does not answer\n  Input: the operational database"
    ):
        load(
            f"postgresql://postgres@/x?host={tmp_path}",
            request,
            tmp_path / "bad.csv",
            lambda stage, share: None,
        )


def test_a_kill_before_the_commit_leaves_nothing(source_db, file, run, tmp_path):
    run(file(T1))
    before = rows(source_db)
    program = "from jobs.cli.source import app; app()"
    command = [
        sys.executable,
        "-c",
        program,
        "load",
        "transactions",
        "--files",
        str(file(T1.replace("m1", "m2"), T2)),
    ]
    settings = {
        "NIGHTSHIFT_SOURCE_DSN": source_db,
        "NIGHTSHIFT_HOME": str(tmp_path),
        "NIGHTSHIFT_FAILPOINT": "source.load.written",
    }
    died = subprocess.run(command, env=os.environ | settings, capture_output=True, timeout=60)
    assert died.returncode == -signal.SIGKILL
    assert rows(source_db) == before


def test_loads_at_once_wait_for_each_other(source_db, file, tmp_path):
    lines = [f"t{row},2018-04-01,c,m,1" for row in range(2000)]
    orders = (lines, lines[::-1], lines[1000:] + lines[:1000])
    paths = [file(*order, name=f"{number}.csv") for number, order in enumerate(orders)]
    summaries = {}

    def one(path):
        request = Request(TRANSACTIONS, (str(path),), others=TABLES)
        summaries[path] = load(
            source_db, request, tmp_path / f"{path.name}.bad", lambda stage, share: None
        )

    threads = [threading.Thread(target=one, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(summary.written for summary in summaries.values()) == [0, 0, 2000]
