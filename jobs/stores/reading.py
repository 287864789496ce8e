"""Run SQL that a person typed on ClickHouse; it can only read ClickHouse's own tables.

Two guards, since neither is enough alone. The engine runs the query with `readonly = 1`, which
refuses writes, DDL, settings and most table functions. But that still lets a SELECT write INTO
OUTFILE, the scalar function `file` read any file, DESCRIBE read a URL, and KILL stop other queries.
So the engine's own parser first rewrites the query in its canonical form: one statement, no
comment, no heredoc, no unneeded quotes around names. That form is checked word by word, and only
that form runs.
"""

from __future__ import annotations

import re
from typing import Any

from clickhouse_connect.driver.exceptions import ClickHouseError

from jobs.core.errors import DataError, StoreError
from jobs.core.settings import Settings
from jobs.stores import clickhouse

_STATEMENTS = ("SELECT", "WITH", "(", "SHOW", "DESCRIBE", "EXISTS", "EXPLAIN")
# All other table functions of the engine read outside its tables, or run unchecked text.
_OWN_TABLE_FUNCTIONS = frozenset(
    {
        "format",
        "generate_series",
        "generaterandom",
        "generateseries",
        "merge",
        "null",
        "numbers",
        "numbers_mt",
        "primes",
        "sqlstandardvalues",
        "values",
        "view",
        "zeros",
        "zeros_mt",
    }
)
# Words that read or write outside ClickHouse but are no table functions.
_LEAVE = frozenset(
    {
        "outfile",
        "file",
        "catboostevaluate",
        "aiclassify",
        "aiembed",
        "aiextract",
        "aifilter",
        "aigenerate",
        "airedact",
        "aisimilarity",
        "aitranslate",
    }
)
_TOKEN = re.compile(r"'(?:[^'\\]|\\.|'')*'|`(?:[^`\\]|\\.|``)*`|\w+", re.DOTALL)
_NOISE = re.compile(
    r"Code: \d+\. DB::Exception: |: In scope SELECT formatQuerySingleLine.*|\(version .*", re.DOTALL
)


def read(settings: Settings, query: str, form: str) -> bytes:
    """Return the result of `query` in a format of ClickHouse (`CSVWithNames`, `JSONEachRow`, …).

    DataError for a wrong query, or one that does more than read; StoreError if ClickHouse does not
    answer.
    """
    with clickhouse.connect_clickhouse(settings) as store:
        try:
            statement = _checked(store.client, query)
            return _run(
                store.client, statement, form, embedded=settings.clickhouse.startswith("chdb://")
            )
        except ClickHouseError as error:
            raise _refusal(error, query) from None


def _checked(client: Any, query: str) -> str:
    """Return the query in canonical form; DataError names the part that does more than read."""
    rows = client.query(
        "SELECT formatQuerySingleLine({query:String})", parameters={"query": query}
    ).result_rows
    statement: str = rows[0][0]
    if not statement.startswith(_STATEMENTS):
        raise _denied(query, f"{statement.split()[0]} does more than read ClickHouse's tables")
    if re.search(r"\bFORMAT \w+$", statement):
        raise DataError(
            "the query names a format", input=query, remedy="remove FORMAT and pass --format"
        )
    names = client.query("SELECT lower(name) FROM system.table_functions").result_rows
    outside = ({name for (name,) in names} | _LEAVE) - _OWN_TABLE_FUNCTIONS
    for word in _words(statement):
        if word.lower() in outside:
            raise _denied(query, f"{word} reads or writes outside ClickHouse's tables")
    return statement


def _words(statement: str) -> list[str]:
    """Return the names and keywords of a canonical statement, without its string literals."""
    return [token.strip("`") for token in _TOKEN.findall(statement) if not token.startswith("'")]


def _run(client: Any, statement: str, form: str, embedded: bool) -> bytes:
    if not embedded:
        answer: bytes = client.raw_query(statement, settings={"readonly": "1"}, fmt=form)
        return answer
    # chDB sets and resets the settings of a query, which readonly forbids, so it is set once here.
    client.command("SET readonly = 1")
    answer = client.raw_query(statement, fmt=form)
    return answer


def _denied(query: str, why: str) -> DataError:
    return DataError(
        "the query was not run",
        input=query,
        why=f"{why}, and only queries that read those tables are allowed",
        remedy="read the rows of a table with SELECT",
    )


def _refusal(error: ClickHouseError, query: str) -> DataError | StoreError:
    """Return the engine's error as one of ours, without codes and versions."""
    text = _NOISE.sub("", str(error)).strip()
    if getattr(error, "code", None) is None:  # not from the engine
        return StoreError(
            "ClickHouse did not answer",
            input=query,
            why=text,
            remedy="start it, then run the query again",
        )
    return DataError(
        "ClickHouse refused the query", input=query, why=text, remedy="correct the query"
    )
