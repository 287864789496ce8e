"""Stage rows for the operational tables: copy to a temporary table, drop repeats, merge."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.csv as pa_csv
from psycopg2 import sql
from psycopg2.extensions import cursor

from jobs.source.schema import SQL_TYPE, OperationalColumn, OperationalTable, has_key

Cursor = cursor  # the only type of psycopg2 that use cases name

_NO_HEADER = pa_csv.WriteOptions(include_header=False)


class Stage:
    """The temporary table `stage`: `columns`, and the file and row number of every row.

    It exists until the end of the cursor's transaction.
    """

    def __init__(self, cursor: Cursor, columns: tuple[OperationalColumn, ...]) -> None:
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
        """Append `rows` of the file number `file` by column name; missing columns are NULL."""
        rows = rows.append_column("file", pa.repeat(file, len(rows)))
        buffer = pa.BufferOutputStream()
        pa_csv.write_csv(rows, buffer, _NO_HEADER)
        statement = sql.SQL("COPY stage ({}) FROM STDIN (FORMAT csv)").format(
            _identifiers(rows.column_names)
        )
        self._cursor.copy_expert(statement.as_string(self._cursor), io.BytesIO(buffer.getvalue()))

    def find_repeats(self, key: str) -> bool:
        """Record keys that occur again, and whether their rows differ; False if there are none."""
        self._run(
            "CREATE TEMP TABLE repeated ON COMMIT DROP AS"
            " SELECT {key}, count(DISTINCT ({columns})) > 1 AS conflict FROM stage JOIN"
            " (SELECT {key} FROM stage GROUP BY {key} HAVING count(*) > 1) keys USING ({key})"
            " GROUP BY {key}",
            key=sql.Identifier(key),
            columns=_identifiers(self._names),
        )
        return self._cursor.rowcount > 0

    def conflicts(self, key: str) -> Iterator[tuple[int, int, str]]:
        """Yield (file, row, key) of every row that shares its key with another row, in order."""
        statement = sql.SQL(
            "SELECT file, row, {key} FROM stage JOIN repeated USING ({key})"
            " WHERE conflict ORDER BY file, row"
        ).format(key=sql.Identifier(key))
        with self._cursor.connection.cursor(name="conflicts") as cursor:
            cursor.execute(statement)
            yield from cursor

    def drop_repeats(self, key: str) -> int:
        """Drop conflicting rows and all but the first of equal ones.

        Return the number of equal ones.
        """
        self._run(
            "DELETE FROM stage USING repeated WHERE stage.{key} = repeated.{key} AND conflict",
            key=sql.Identifier(key),
        )
        self._run(
            "DELETE FROM stage USING (SELECT file, row,"
            " row_number() OVER (PARTITION BY {key} ORDER BY file, row) AS occurrence"
            " FROM stage JOIN repeated USING ({key})) AS repeat"
            " WHERE stage.file = repeat.file AND stage.row = repeat.row AND occurrence > 1",
            key=sql.Identifier(key),
        )
        return self._cursor.rowcount

    def merge(
        self, table: OperationalTable, columns: Iterable[str], files: Iterable[int] | None = None
    ) -> int:
        """Merge the staged rows, or those of `files`, into `table`; return how many were written.

        Only `columns` of an existing row change; an unchanged row is not written. The staged keys
        are unique. A new table, which has no key yet, gets the rows by a plain insert.
        """
        if files is None:
            return self.merge_where(table, columns, "true")
        numbers = sql.SQL(", ").join(map(sql.Literal, files))
        return self._merge_rows(table, columns, sql.SQL("file IN ({})").format(numbers))

    def merge_where(self, table: OperationalTable, columns: Iterable[str], condition: str) -> int:
        """Merge the staged rows that satisfy the SQL `condition`; see merge."""
        return self._merge_rows(table, columns, sql.SQL(condition))

    def _merge_rows(
        self, table: OperationalTable, columns: Iterable[str], condition: sql.Composable
    ) -> int:
        supplied = {*columns}
        names = [name for name in table.names if name in supplied]
        if not names:
            return 0
        keyed = has_key(self._cursor, table)
        self._run(
            "INSERT INTO {table} AS present ({columns})"
            " SELECT {columns} FROM stage WHERE {condition} {on_conflict}",
            table=sql.Identifier(table.name),
            columns=_identifiers(names),
            condition=condition,
            on_conflict=_on_conflict(table.key, names) if keyed else sql.SQL(""),
        )
        return self._cursor.rowcount

    def count(self, query: str) -> int:
        """Return the number that `query` selects; it may read the table `stage`."""
        self._cursor.execute(query)
        counted = self._cursor.fetchone()
        return int(counted[0]) if counted else 0

    def drop(self) -> None:
        """Drop the table, so that the same transaction can create another stage."""
        self._cursor.execute("DROP TABLE stage")

    def _run(self, statement: str, **parts: sql.Composable) -> None:
        self._cursor.execute(sql.SQL(statement).format(**parts))


def _on_conflict(key: str, names: list[str]) -> sql.Composed:
    rest = [name for name in names if name != key]
    return sql.SQL(
        "ON CONFLICT ({key}) DO UPDATE SET {changes}"
        " WHERE ({present}) IS DISTINCT FROM ({excluded})"
    ).format(
        key=sql.Identifier(key),
        changes=_join(
            [sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in rest]
        ),
        present=_join([sql.Identifier("present", name) for name in rest]),
        excluded=_join([sql.Identifier("excluded", name) for name in rest]),
    )


def _identifiers(names: Iterable[str]) -> sql.Composed:
    return _join([sql.Identifier(name) for name in names])


def _join(parts: Iterable[sql.Composable]) -> sql.Composed:
    return sql.SQL(", ").join(parts)
