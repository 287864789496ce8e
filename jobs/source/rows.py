"""A batch of a file to rows of a table: those that can be loaded, and those that cannot, with the reason."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.source.batch import Batch, Rejected
from jobs.source.convert import convert
from jobs.source.converted import Converted, Mask, mask
from jobs.source.schema import Column


def read_rows(
    batch: Batch,
    columns: tuple[Column, ...],
    sources: Mapping[str, str],
    constants: Mapping[str, str],
    zone: str,
) -> tuple[pa.Table, pa.Array, list[Rejected]]:
    """The good rows of `batch` as a table of those `columns` that it supplies, their row numbers, and the bad ones.

    `sources` is table column -> file column, `constants` table column -> text. A row with several faults
    is rejected for the first, in the order of the columns. Good + rejected = rows of the batch.
    """
    bad = np.zeros(len(batch.data), dtype=bool)
    values: dict[str, pa.Array] = {}
    rejected: list[Rejected] = []
    for column in columns:
        given = _given(batch, column.name, sources, constants)
        if given is None:
            continue
        converted = convert(column.kind, given, zone)
        values[column.name] = converted.values
        for reason, wrong in _problems(column, converted).items():
            rejected += _reject(batch, given, wrong & ~bad, f"{column.name} {reason}")
            bad |= wrong
    good = pa.array(~bad)
    return pa.table(values).filter(good), pa.array(batch.rows).filter(good), rejected


def _given(
    batch: Batch, name: str, sources: Mapping[str, str], constants: Mapping[str, str]
) -> pa.Array | None:
    if name in constants:
        return pa.repeat(constants[name], len(batch.data))
    if name not in sources:
        return None
    found = batch.data[sources[name]]
    return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found


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
    texts = given.filter(pa.array(wrong)).cast(pa.string()).to_pylist()
    return [
        Rejected(row, reason, text or "") for row, text in zip(batch.rows[wrong].tolist(), texts, strict=True)
    ]
