"""Which column of a file becomes which column of a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa

from jobs.core.errors import ConfigError, DataError
from jobs.source.convert import readable
from jobs.source.schema import Column


@dataclass(frozen=True)
class ColumnMap:
    """`columns`: table column -> file column; `constants`: table column -> the value of every row.

    A column that neither names is taken from the file's column of the same name, or of another one that
    the column is known by, if there is one.
    """

    columns: Mapping[str, str]
    constants: Mapping[str, str]

    def check(self, table: Iterable[Column]) -> None:
        """Raises ConfigError for a column that the table lacks or that is given twice."""
        known = [column.name for column in table]
        for name in (*self.columns, *self.constants):
            if name not in known:
                raise ConfigError(f"there is no column {name!r} to load", remedy=f"use {', '.join(known)}")
        if both := sorted(set(self.columns) & set(self.constants)):
            raise ConfigError(f"both --map and --const name {', '.join(both)}", remedy="keep one of them")

    def resolve(self, table: Iterable[Column], schema: pa.Schema, file: str) -> dict[str, str]:
        """Table column -> file column, of those that the file supplies.

        Raises DataError for a mapped or required column that is missing, twice there, or of a type that
        cannot be read as its table column.
        """
        found: dict[str, str] = {}
        for column in table:
            source = self.columns.get(column.name) or _namesake(column, schema)
            if source in schema.names and column.name not in self.constants:
                _check_readable(column, schema, source, file)
                found[column.name] = source
            elif column.name in self.columns or (column.required and column.name not in self.constants):
                raise _missing(column, source, schema, file)
        return found


def _namesake(column: Column, schema: pa.Schema) -> str:
    return next((name for name in (column.name, *column.also) if name in schema.names), column.name)


def parse_pairs(options: Iterable[str], option: str) -> dict[str, str]:
    """`["a=B,c=D", "e=F"]` as a dictionary. Raises ConfigError for an entry without `=` or given twice."""
    pairs: dict[str, str] = {}
    for entry in (entry.strip() for text in options for entry in text.split(",") if entry.strip()):
        name, equals, value = (part.strip() for part in entry.partition("="))
        if not (name and equals and value):
            raise ConfigError(
                f"{option} {entry!r} is not name=value", remedy=f"for example {option} amount=TX_AMOUNT"
            )
        if name in pairs:
            raise ConfigError(f"{option} gives {name} twice", remedy="keep one of them")
        pairs[name] = value
    return pairs


def _missing(column: Column, source: str, schema: pa.Schema, file: str) -> DataError:
    return DataError(
        f"there is no column {source!r} for {column.name}; the file has {', '.join(schema.names)}",
        input=file,
        remedy=f"name the column that holds {column.name}",
    )


def _check_readable(column: Column, schema: pa.Schema, source: str, file: str) -> None:
    if schema.names.count(source) > 1:
        raise DataError(
            f"the column {source!r} is there more than once", input=file, remedy="rename one of them"
        )
    given = schema.field(source).type
    if not readable(column.kind, given):
        raise DataError(
            f"the column {source!r} is {given}, which cannot be read as {column.name} ({column.kind})",
            input=file,
            remedy=f"map another column to {column.name}, or convert the file",
        )
