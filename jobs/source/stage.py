"""Rows on their way into the operational tables: copied to a temporary table, freed of repeats, merged."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor

from jobs.source.schema import SQL_TYPE, Column, Table, has_key

_NO_HEADER = pa_csv.WriteOptions(include_header=False)


class Stage:
    """A temporary table `stage`: the given columns, and the file and row each of its rows came from.

    It lives as long as the cursor's transaction.
    """

    def __init__(self, cursor: Cursor, columns: tuple[Column, ...]) -> None:
        self._cursor = cursor
        self._names = tuple(column.name for column in columns)
        typed = [
            sql.SQL("{} {}").format(sql.Identifier(column.name), sql.SQL(SQL_TYPE[column.kind]))
            for column in columns
        ]
        cursor.execute(
            sql.SQL("CREATE TEMP TABLE stage ({}, file int, row bigint) ON COMMIT DROP").format(
                _join(typed)
            )
        )

    def copy(self, rows: pa.Table, file: int = 0) -> None:
        """Append `rows` of the file number `file`: the columns say where they go; those that they lack are NULL."""
        rows = rows.append_column("file", pa.repeat(file, len(rows)))
        buffer = pa.BufferOutputStream()
        pa_csv.write_csv(rows, buffer, _NO_HEADER)
        statement = sql.SQL("COPY stage ({}) FROM STDIN (FORMAT csv)").format(
            _identifiers(rows.column_names)
        )
        self._cursor.copy_expert(statement.as_string(self._cursor), io.BytesIO(buffer.getvalue()))

    def find_repeats(self, key: str) -> bool:
        """Note the keys that occur more than once, and whether their rows differ; False when there are none."""
        self._run(
            "CREATE TEMP TABLE repeated ON COMMIT DROP AS"
            " SELECT {key}, count(DISTINCT ({columns})) > 1 AS conflict FROM stage JOIN"
            " (SELECT {key} FROM stage GROUP BY {key} HAVING count(*) > 1) keys USING ({key}) GROUP BY {key}",
            key=sql.Identifier(key),
            columns=_identifiers(self._names),
        )
        return self._cursor.rowcount > 0

    def conflicts(self, key: str) -> Iterator[tuple[int, int, str]]:
        """(file, row, key) of every row that shares its key with a different row, in order."""
        statement = sql.SQL(
            "SELECT file, row, {key} FROM stage JOIN repeated USING ({key}) WHERE conflict ORDER BY file, row"
        ).format(key=sql.Identifier(key))
        with self._cursor.connection.cursor(name="conflicts") as cursor:
            cursor.execute(statement)
            yield from cursor

    def drop_repeats(self, key: str) -> int:
        """Drop the conflicting rows, and all but the first of equal ones; how many equal ones went."""
        self._run(
            "DELETE FROM stage USING repeated WHERE stage.{key} = repeated.{key} AND conflict",
            key=sql.Identifier(key),
        )
        self._run(
            "DELETE FROM stage USING (SELECT file, row, row_number() OVER (PARTITION BY {key} ORDER BY file, row)"
            " AS occurrence FROM stage JOIN repeated USING ({key})) AS repeat"
            " WHERE stage.file = repeat.file AND stage.row = repeat.row AND occurrence > 1",
            key=sql.Identifier(key),
        )
        return self._cursor.rowcount

    def upsert(
        self, table: Table, columns: Iterable[str], files: Iterable[int] | None = None
    ) -> int:
        """Merge the staged rows of `files` into `table` by its key; how many rows were written. See merge."""
        numbers = sql.SQL(", ").join(map(sql.Literal, files or ()))
        only = sql.SQL("true") if files is None else sql.SQL("file IN ({})").format(numbers)
        return self.merge(table, columns, only)

    def merge(self, table: Table, columns: Iterable[str], only: sql.Composable) -> int:
        """Merge the staged rows for which `only` holds into `table` by its key; how many rows were written.

        Of a row that is already there only `columns` change; with the same content it is not written. The staged
        keys are unique. Into a table that has no key yet, because it is new, the rows go as they are, once.
        """
        supplied = {*columns}
        names = [name for name in table.names if name in supplied]
        if not names:
            return 0
        self._run(
            "INSERT INTO {table} AS present ({columns}) SELECT {columns} FROM stage WHERE {only} {merge}",
            table=sql.Identifier(table.name),
            columns=_identifiers(names),
            only=only,
            merge=_merge(table.key, names) if has_key(self._cursor, table) else sql.SQL(""),
        )
        return self._cursor.rowcount

    def count(self, query: str) -> int:
        """The number that `query` gives, which may read the table `stage`."""
        self._cursor.execute(query)
        counted = self._cursor.fetchone()
        return int(counted[0]) if counted else 0

    def drop(self) -> None:
        """Make room for another stage in the same transaction."""
        self._cursor.execute("DROP TABLE stage")

    def _run(self, statement: str, **parts: Any) -> None:
        self._cursor.execute(sql.SQL(statement).format(**parts))


def _merge(key: str, names: list[str]) -> sql.Composed:
    rest = [name for name in names if name != key]
    return sql.SQL(
        "ON CONFLICT ({key}) DO UPDATE SET {changes} WHERE ({present}) IS DISTINCT FROM ({excluded})"
    ).format(
        key=sql.Identifier(key),
        changes=_join(
            [sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in rest]
        ),
        present=_join([sql.Identifier("present", name) for name in rest]),
        excluded=_join([sql.Identifier("excluded", name) for name in rest]),
    )


def _identifiers(names: Any) -> sql.Composed:
    return _join([sql.Identifier(name) for name in names])


def _join(parts: list[Any]) -> sql.Composed:
    return sql.SQL(", ").join(parts)
