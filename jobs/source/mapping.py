"""Map columns of a file to columns of a table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa

from jobs.core.errors import ConfigError, DataError
from jobs.source.convert import readable
from jobs.source.dialect import Dialect
from jobs.source.schema import OperationalColumn
from jobs.source.template import Template, template

Source = str | Template
"""The source of a table column: one column of the file, or a template of several."""

_PAIR = re.compile(
    r'\s*(?P<name>[^=,]*?)\s*=\s*(?:"(?P<quoted>(?:[^"]|"")*)"\s*(?=,|$)|(?P<value>.*?)\s*(?=,\s*\w+\s*=|,?\s*$))'
)


@dataclass(frozen=True)
class ColumnMap:
    """Table columns by source: `columns` (file column or template) and `constants` (value).

    A column in neither comes from the file column of the same name, or of one of its other names.
    """

    columns: Mapping[str, str]
    constants: Mapping[str, str]

    def check(self, table: Iterable[OperationalColumn]) -> None:
        """Raise ConfigError for a column that the table lacks, or with two sources."""
        names = [column.name for column in table]
        for name in (*self.columns, *self.constants):
            if name not in names:
                raise ConfigError(
                    f"there is no column {name!r} to load", remedy=f"use {', '.join(names)}"
                )
        if both := sorted(set(self.columns) & set(self.constants)):
            raise ConfigError(
                f"both --map and --const name {', '.join(both)}", remedy="keep one of them"
            )

    def resolve(
        self, table: Iterable[OperationalColumn], schema: pa.Schema, file: str, dialect: Dialect
    ) -> dict[str, Source]:
        """Return table column -> source, for the columns that the file supplies.

        DataError if a mapped or required column is missing, occurs twice, or has a type that cannot
        be read as its table column.
        """
        sources: dict[str, Source] = {}
        for column in table:
            if column.name in self.constants:
                continue
            name = self.columns.get(column.name) or _namesake(column, schema)
            source = name if name in schema.names else template(name) or name
            if isinstance(source, Template) or source in schema.names:
                _check(column, schema, source, file, dialect)
                sources[column.name] = source
            elif column.name in self.columns or column.required:
                raise _missing(column, name, schema, file)
        return sources


def file_columns(sources: Iterable[Source]) -> list[str]:
    """Return the file columns that `sources` need, sorted."""
    names = [source.columns if isinstance(source, Template) else (source,) for source in sources]
    return sorted({name for group in names for name in group})


def _namesake(column: OperationalColumn, schema: pa.Schema) -> str:
    return next((name for name in (column.name, *column.also) if name in schema.names), column.name)


def parse_pairs(options: Iterable[str], option: str) -> dict[str, str]:
    """Parse `["a=B,c=D", "e=F"]` to a dictionary; values may have commas, and in quotes anything.

    ConfigError for an entry without `=`, or for a name that occurs twice.
    """
    pairs: dict[str, str] = {}
    for text in options:
        for name, value in _pairs(text, option):
            if name in pairs:
                raise ConfigError(f"{option} names {name} twice", remedy="keep one of them")
            pairs[name] = value
    return pairs


def _pairs(text: str, option: str) -> Iterable[tuple[str, str]]:
    at = 0
    while text[at:].strip(" ,"):
        match = _PAIR.match(text, at)
        quoted = match["quoted"] if match else None
        value = quoted.replace('""', '"') if quoted is not None else match["value"] if match else ""
        if not match or not match["name"] or not value:
            raise ConfigError(
                f"{option} {text[at:].strip()!r} is not name=value",
                remedy=f"for example {option} amount=TX_AMOUNT",
            )
        yield match["name"], value
        at = match.end() + 1


def _missing(column: OperationalColumn, source: str, schema: pa.Schema, file: str) -> DataError:
    names = ", ".join(schema.names)
    remedy = f"name the column with the {column.name}: --map {column.name}=COLUMN"
    if other := next((mark for mark in ";|\t" if mark in names), None):
        remedy = f"pass the separator of the columns: --delimiter '{other}'".replace("\t", "\\t")
    elif not any(name.isidentifier() for name in schema.names):
        remedy = "if the file has no header, name its columns: --columns NAME,NAME,…"
    return DataError(
        f"there is no column {source!r} for {column.name}; the file has {names}",
        input=file,
        remedy=remedy,
    )


def _check(
    column: OperationalColumn, schema: pa.Schema, source: Source, file: str, dialect: Dialect
) -> None:
    for name in file_columns([source]):
        if name not in schema.names:
            raise _missing(column, name, schema, file)
        if schema.names.count(name) > 1:
            raise DataError(
                f"the column {name!r} occurs more than once",
                input=file,
                remedy="rename one of them",
            )
        arrow = schema.field(name).type
        kind = column.kind if name == source else "text"
        if not readable(kind, arrow, dialect):
            raise DataError(
                f"the column {name!r} is {arrow}, "
                f"which cannot be read as {column.name} ({column.kind})",
                input=file,
                remedy=_convert(column, arrow),
            )


def _convert(column: OperationalColumn, arrow: pa.DataType) -> str:
    numbers = (
        pa.types.is_integer(arrow) or pa.types.is_floating(arrow) or pa.types.is_decimal(arrow)
    )
    if column.kind in ("time", "report") and numbers:
        return "pass the unit of the numbers, for example --time-unit s --epoch 2017-12-01"
    return f"map another column to {column.name}, or convert the file"
