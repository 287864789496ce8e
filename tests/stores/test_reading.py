"""SQL from a person reads ClickHouse's own tables and does nothing else, on chDB and a server."""

from __future__ import annotations

import json
from datetime import date

import pyarrow as pa
import pytest
from clickhouse_connect.driver.exceptions import ClickHouseError

from declared import columns_of
from jobs.core import settings
from jobs.core.errors import DataError, NightshiftError, StoreError
from jobs.core.tables import Table
from jobs.stores import reading

DAY = date(2018, 7, 10)
SCORES = Table(
    name="scores",
    key=("id",),
    grain="one row per id",
    columns=columns_of(
        pa.schema(
            [
                pa.field("date", pa.date32(), nullable=False),
                pa.field("id", pa.string(), nullable=False),
                pa.field("score", pa.float64()),
            ]
        )
    ),
)
ROWS = pa.table(
    {"date": [DAY] * 2, "id": ["[/foo]", "\x1b[2J"], "score": [0.5, None]}, schema=SCORES.schema
)

WRITES = [
    "INSERT INTO fraud.scores VALUES ('2018-07-10', 'x', 1)",
    "INSERT INTO FUNCTION file('{tmp}/out.csv') SELECT 1",
    "WITH a AS (SELECT 1) INSERT INTO FUNCTION file('{tmp}/out.csv') SELECT * FROM a",
    "SELECT 1 INTO OUTFILE '{tmp}/out.csv'",
    "SELECT 1 INTO OUTFILE '{tmp}/out.csv' TRUNCATE FORMAT CSV",
    "SELECT 1 UNION ALL SELECT 2 into/**/outfile '{tmp}/out.csv'",
    "CREATE TABLE fraud.other (n Int64) ENGINE = Memory",
    "CREATE TEMPORARY TABLE other (n Int64)",
    "CREATE FUNCTION other AS (x) -> file(x)",
    "CREATE DICTIONARY fraud.other (n Int64) PRIMARY KEY n "
    "SOURCE(FILE(path '/etc/passwd' format 'CSV')) LAYOUT(FLAT())",
    "CREATE DATABASE other",
    "CREATE USER other",
    "GRANT ALL ON *.* TO default",
    "DROP TABLE fraud.scores",
    "DROP DATABASE fraud",
    "DETACH TABLE fraud.scores",
    "RENAME TABLE fraud.scores TO fraud.other",
    "TRUNCATE TABLE fraud.scores",
    "OPTIMIZE TABLE fraud.scores FINAL",
    "ALTER TABLE fraud.scores DELETE WHERE 1",
    "DELETE FROM fraud.scores WHERE 1",
    "BACKUP DATABASE fraud TO File('{tmp}/out.csv')",
    "SYSTEM SHUTDOWN",
    "SYSTEM DROP MARK CACHE",
    "KILL QUERY WHERE 1",
    "USE system",
    "CHECK TABLE fraud.scores",
    "SET readonly = 0",
    "SELECT 1 SETTINGS readonly = 0",
    "SELECT 1 SETTINGS allow_experimental_eval_table_function = 1",
    "SELECT 1; DROP TABLE fraud.scores",
    "DROP TABLE fraud.scores; SELECT 1",
    "SELECT 1 PARALLEL WITH DROP TABLE fraud.scores",
    "-- SELECT\nDROP TABLE fraud.scores",
    "/* SELECT 1 */ TRUNCATE TABLE fraud.scores",
    "EXPLAIN INSERT INTO fraud.scores SELECT * FROM file('/etc/passwd')",
]
ELSEWHERE = [
    "SELECT file('/etc/passwd')",
    "SELECT FILE('/etc/passwd')",
    "SELECT `file`('/etc/passwd')",
    "SELECT \"file\"/* */('/etc/passwd')",
    "SELECT arrayMap(file, ['/etc/passwd'])",
    "SELECT * APPLY file FROM (SELECT '/etc/passwd')",
    "SELECT * APPLY(x -> file(x)) FROM (SELECT '/etc/passwd')",
    "WITH (x) -> file(x) AS f SELECT f('/etc/passwd')",
    "SELECT * FROM file('/etc/passwd', 'LineAsString')",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM `/etc/passwd`",
    "SELECT '' IN file('/etc/passwd', 'LineAsString')",
    "SELECT (SELECT count() FROM file('/etc/passwd', 'LineAsString'))",
    "SELECT * FROM view(SELECT file('/etc/passwd'))",
    "DESCRIBE file('/etc/passwd')",
    "DESC TABLE url('http://127.0.0.1:1/x')",
    "EXPLAIN SELECT * FROM url('http://127.0.0.1:1/x', 'LineAsString')",
    "EXPLAIN TABLE OVERRIDE mysql('127.0.0.1:1', 'd', 't', 'u', 'p')",
    "SELECT aiGenerate('x')",
]


@pytest.fixture(scope="module")
def chosen(store):
    store.swap("fraud", store.stage("fraud", SCORES, DAY, "a1", ROWS))
    return settings.load()


def state(store):
    """Every table outside the engine's own databases, and the rows of the one that has any."""
    tables = (
        "SELECT database, name FROM system.tables "
        "WHERE database NOT IN ('system', 'INFORMATION_SCHEMA')"
    )
    databases = "SELECT name FROM system.databases"
    names = [sorted(store.client.query(query).result_rows) for query in (tables, databases)]
    return names, store.read("fraud", SCORES, [DAY]).to_pylist()


EMBEDDED = pytest.mark.parametrize("clickhouse_dsn", ["chdb"], indirect=True, scope="module")


@EMBEDDED
@pytest.mark.parametrize("query", WRITES + ELSEWHERE)
def test_what_does_not_read_the_tables_is_refused_and_changes_nothing(
    chosen, store, tmp_path, query
):
    before = state(store)
    refuse(chosen, query.format(tmp=tmp_path))
    assert not [*tmp_path.iterdir()] and state(store) == before


@pytest.mark.parametrize("clickhouse_dsn", ["http"], indirect=True, scope="module")
def test_a_server_refuses_it_too(chosen, store, tmp_path):
    """A few of each kind: what is refused does not depend on the way there."""
    before = state(store)
    for query in (*WRITES[::8], *ELSEWHERE[::6]):
        refuse(chosen, query.format(tmp=tmp_path))
    assert not [*tmp_path.iterdir()] and state(store) == before


def refuse(chosen, query):
    with pytest.raises(DataError) as caught:
        reading.read(chosen, query, "CSVWithNames")
    assert "root:" not in str(caught.value) and "Code:" not in str(caught.value)
    assert caught.value.input == query


@EMBEDDED
def test_no_function_of_the_engine_that_reads_elsewhere_gets_through_in_any_spelling(chosen, store):
    """The list comes from the engine: a later version's table function is refused until allowed."""
    names = [
        row[0] for row in store.client.query("SELECT name FROM system.table_functions").result_rows
    ]
    outside = [name for name in names if name.lower() not in reading._OWN_TABLE_FUNCTIONS]
    assert {"file", "url", "remote", "s3", "postgresql", "executable", "eval", "python"} <= set(
        outside
    )
    for name in outside:
        for query in (
            f"SELECT * FROM `{name}` ('x')",
            f"DESCRIBE TABLE {name}/* */('x')",
            f"EXPLAIN AST SELECT 1 IN (SELECT * FROM {name}())",
        ):
            with pytest.raises((DataError, ClickHouseError), match=rf"\b{name} reads|Syntax error"):
                reading._checked(store.client, query)


@pytest.mark.parametrize(
    "query", ["DROP TABLE fraud.scores", "SELECT * FROM file('/etc/passwd')", "SET readonly = 0"]
)
def test_the_engine_refuses_too(chosen, connect, query):
    """The second guard, without the first."""
    embedded = chosen.clickhouse.startswith("chdb://")
    with pytest.raises(NightshiftError, match=r"READONLY|SYNTAX_ERROR"), connect() as other:
        reading._run(other.client, query, "CSV", embedded)


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("SELECT score FROM fraud.scores WHERE id = '[/foo]'", [{"score": 0.5}]),
        ("select count() AS n from fraud.scores -- file('x')", [{"n": 2}]),
        (
            "SELECT 'file(1) INTO OUTFILE; DROP' AS x, `score` FROM fraud.scores WHERE score > 0;",
            [{"x": "file(1) INTO OUTFILE; DROP", "score": 0.5}],
        ),
        ("WITH 2 AS two SELECT two * number AS n FROM numbers(2)", [{"n": 0}, {"n": 2}]),
        ("(SELECT 1 AS n) UNION ALL (SELECT 1)", [{"n": 1}, {"n": 1}]),
        ("SELECT format('{{}}-{{}}', 'a', 'b') AS x", [{"x": "a-b"}]),
        ("SHOW TABLES FROM fraud", [{"name": "scores"}]),
        ("EXISTS fraud.scores", [{"result": 1}]),
        (
            "SELECT name FROM system.columns WHERE table = 'scores' AND is_in_partition_key",
            [{"name": "date"}],
        ),
    ],
)
def test_what_reads_is_answered(chosen, query, rows):
    answer = reading.read(chosen, query.replace("{{}}", "{}"), "JSONEachRow").decode().splitlines()
    assert [json.loads(line) for line in answer] == rows


def test_describe_and_explain_answer(chosen):
    assert b'"score","Nullable(Float64)"' in reading.read(
        chosen, "DESC fraud.scores", "CSVWithNames"
    )
    assert b"fraud.scores" in reading.read(
        chosen, "EXPLAIN SYNTAX SELECT * FROM fraud.scores", "CSV"
    )


@pytest.mark.parametrize(
    ("query", "what"),
    [
        ("SELECT scor FROM fraud.scores", "Unknown expression identifier `scor`"),
        ("SELECT FROM WHERE", "Syntax error"),
        ("SELECT * FROM fraud.nothing", "nothing"),
        ("SELECT 1 FORMAT CSV", "names a format"),
        ("", "Empty query"),
    ],
)
def test_a_wrong_query_is_an_error_about_the_query(chosen, query, what):
    with pytest.raises(DataError, match=what) as caught:
        reading.read(chosen, query, "CSV")
    assert "DB::Exception" not in str(caught.value) and "formatQuery" not in str(caught.value)


def test_a_server_that_is_not_there_is_no_error_about_the_query(monkeypatch):
    monkeypatch.setenv(settings.CLICKHOUSE, "clickhouse://night@127.0.0.1:1/")
    with pytest.raises(StoreError, match="cannot be opened"):
        reading.read(settings.load(), "SELECT 1", "CSV")
