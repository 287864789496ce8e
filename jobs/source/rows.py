"""Convert a batch of a file to rows of a table, and reject unreadable rows with a reason."""

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
from jobs.source.schema import OperationalColumn
from jobs.source.template import Template


def read_rows(
    batch: Batch,
    path: Path,
    columns: tuple[OperationalColumn, ...],
    sources: Mapping[str, Source],
    constants: Mapping[str, str],
    dialect: Dialect,
) -> tuple[pa.Table, pa.Array, list[Rejected]]:
    """Return the valid rows of `batch` as a table, their row numbers, and the rejected rows.

    The table has those `columns` that the file `path` supplies. `sources` maps a table column to
    its source in the file, `constants` to a text. A row with several problems is rejected for the
    first, in column order. Valid + rejected = rows of the batch.
    """
    bad = np.zeros(len(batch.data), dtype=bool)
    values: dict[str, pa.Array] = {}
    rejected: list[Rejected] = []
    for column in columns:
        cells = _cells(batch, path, column.name, sources, constants)
        if cells is None:
            continue
        converted = convert(column.kind, cells, dialect)
        values[column.name] = converted.values
        for reason, wrong in _problems(column, converted).items():
            rejected += _reject(batch, cells, wrong & ~bad, f"{column.name} {reason}")
            bad |= wrong
    good = pa.array(~bad)
    return pa.table(values).filter(good), pa.array(batch.rows).filter(good), rejected


def _cells(
    batch: Batch, path: Path, name: str, sources: Mapping[str, Source], constants: Mapping[str, str]
) -> pa.Array | None:
    if name in constants:
        return pa.repeat(constants[name], len(batch.data))
    source = sources.get(name)
    if source is None:
        return None
    cells = source.fill(batch, path) if isinstance(source, Template) else batch.data[source]
    return cells.combine_chunks() if isinstance(cells, pa.ChunkedArray) else cells


def _problems(column: OperationalColumn, converted: Converted) -> dict[str, Mask]:
    problems = dict(converted.problems)
    if bounds := column.within:
        low, high = (pa.scalar(bound, converted.values.type) for bound in (bounds.low, bounds.high))
        below, above = pc.less(converted.values, low), pc.greater(converted.values, high)
        problems[bounds.reason] = mask(pc.or_(below, above))
    if column.required:
        problems["is missing"] = mask(pc.is_null(converted.values))
    return problems


def _reject(batch: Batch, cells: pa.Array, wrong: Mask, reason: str) -> list[Rejected]:
    if not wrong.any():
        return []
    texts = plain(cells).filter(pa.array(wrong)).cast(pa.string()).to_pylist()
    return [
        Rejected(row, reason, text or "")
        for row, text in zip(batch.rows[wrong].tolist(), texts, strict=True)
    ]
