"""A batch of a file to rows of a table: those that can be loaded, and those that cannot, with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.source.batch import Batch, Rejected
from jobs.source.convert import convert
from jobs.source.converted import Converted, Mask, mask, plain
from jobs.source.dialect import Dialect
from jobs.source.mapping import Source
from jobs.source.schema import Column
from jobs.source.template import Template


def read_rows(
    batch: Batch,
    path: Path,
    columns: tuple[Column, ...],
    sources: Mapping[str, Source],
    constants: Mapping[str, str],
    dialect: Dialect,
) -> tuple[pa.Table, pa.Array, list[Rejected]]:
    """The good rows of a `batch` of the file `path` as a table of those `columns` that it supplies, their row
    numbers, and the bad ones.

    `sources` is table column -> where it is in the file, `constants` table column -> text. A row with several faults
    is rejected for the first, in the order of the columns. Good + rejected = rows of the batch.
    """
    bad = np.zeros(len(batch.data), dtype=bool)
    values: dict[str, pa.Array] = {}
    rejected: list[Rejected] = []
    for column in columns:
        given = _given(batch, path, column.name, sources, constants)
        if given is None:
            continue
        converted = convert(column.kind, given, dialect)
        values[column.name] = converted.values
        for reason, wrong in _problems(column, converted).items():
            rejected += _reject(batch, given, wrong & ~bad, f"{column.name} {reason}")
            bad |= wrong
    good = pa.array(~bad)
    return pa.table(values).filter(good), pa.array(batch.rows).filter(good), rejected


def _given(
    batch: Batch, path: Path, name: str, sources: Mapping[str, Source], constants: Mapping[str, str]
) -> pa.Array | None:
    if name in constants:
        return pa.repeat(constants[name], len(batch.data))
    source = sources.get(name)
    if source is None:
        return None
    given = source.fill(batch, path) if isinstance(source, Template) else batch.data[source]
    return given.combine_chunks() if isinstance(given, pa.ChunkedArray) else given


def _problems(column: Column, converted: Converted) -> dict[str, Mask]:
    problems = dict(converted.problems)
    if bounds := column.within:
        low, high = (pa.scalar(bound, converted.values.type) for bound in (bounds.low, bounds.high))
        below, above = pc.less(converted.values, low), pc.greater(converted.values, high)
        problems[bounds.reason] = mask(pc.or_(below, above))
    if column.required:
        problems["is missing"] = mask(pc.is_null(converted.values))
    return problems


def _reject(batch: Batch, given: pa.Array, wrong: Mask, reason: str) -> list[Rejected]:
    if not wrong.any():
        return []
    texts = plain(given).filter(pa.array(wrong)).cast(pa.string()).to_pylist()
    return [
        Rejected(row, reason, text or "")
        for row, text in zip(batch.rows[wrong].tolist(), texts, strict=True)
    ]
