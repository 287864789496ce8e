"""The content digest: two tables, or two models, are the same if their digests are equal.

The digest of a table does not depend on row order, on chunking, on the store that it was read
from, or on the width of its integers and floats: it covers the key-sorted Arrow table in a
canonical encoding.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

# Who wrote a row, when, and how long it took are not its content.
BOOKKEEPING = frozenset(
    {"version", "run_id", "attempt", "created_at", "model_version", "code_version", "measured_ms"}
)


def bytes_digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def json_digest(value: object) -> str:
    """Digest of a JSON value, whatever the order of its keys."""
    return bytes_digest(
        json.dumps(value, sort_keys=True, separators=(",", ":"), default=str).encode()
    )


def table_digest(table: pa.Table, key: Sequence[str]) -> str:
    """sha256 of the table sorted by `key`; the key must be unique for the digest to be stable.

    It covers the columns in the order of their names, without BOOKKEEPING. Timestamps count in
    microseconds of UTC. -0.0 equals 0.0, and all NaNs are equal; null differs from NaN and from
    the empty string.
    """
    plain = _decoded(table)
    ordered = plain.sort_by([(name, "ascending") for name in key]) if plain.num_rows else plain
    sha = hashlib.sha256(f"rows={table.num_rows}".encode())
    for name in sorted(set(table.column_names) - BOOKKEEPING):
        sha.update(f"|{len(name)}:{name}:".encode())
        _feed(sha, ordered.column(name).combine_chunks())
    return sha.hexdigest()


def _decoded(table: pa.Table) -> pa.Table:
    """The table without dictionary encoding, by which Arrow cannot sort."""
    kinds = [
        field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
        for field in table.schema
    ]
    return table.cast(pa.schema(kinds))


def _feed(sha: hashlib._Hash, array: pa.Array) -> None:
    """Feed one column: its kind, its validity, then its values with nulls as zeros."""
    if isinstance(
        array, pa.ChunkedArray
    ):  # combine_chunks keeps an empty or oversized column chunked
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    if pa.types.is_null(array.type):
        array = array.cast(pa.string())  # an all-null column has no kind of its own in some stores
    sha.update(np.asarray(array.is_valid()).astype(np.uint8).tobytes())
    for part in _canonical(array):
        sha.update(part)


def _narrow(array: pa.Array) -> pa.Array:
    """A decimal without fraction as an integer, if 64 bits hold it: their digests are equal."""
    if pa.types.is_decimal(array.type) and array.type.scale == 0:
        with suppress(pa.ArrowInvalid):
            return array.cast(pa.int64())
    return array


def _canonical(array: pa.Array) -> list[bytes]:
    array = _narrow(array)
    kind = array.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_decimal(kind):
        text = array.cast(pa.large_string()).fill_null("")
        lengths = np.asarray(pc.binary_length(text)).astype("<i8")
        return [b"text", lengths.tobytes(), "".join(text.to_pylist()).encode()]
    if pa.types.is_floating(kind):
        values = np.asarray(array.cast(pa.float64()).fill_null(0.0))
        one_nan = np.where(np.isnan(values), np.nan, values)
        return [b"float", (one_nan + 0.0).astype("<f8").tobytes()]  # -0.0 + 0.0 is 0.0
    if pa.types.is_timestamp(kind):
        array = array.cast(pa.timestamp("us", kind.tz)).cast(pa.int64())
        return [b"time", np.asarray(array.fill_null(0)).astype("<i8").tobytes()]
    if pa.types.is_date(kind):
        array = array.cast(pa.date32()).cast(pa.int32())
        return [b"date", np.asarray(array.fill_null(0)).astype("<i8").tobytes()]
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        return [b"int", np.asarray(array.cast(pa.int64()).fill_null(0)).astype("<i8").tobytes()]
    raise TypeError(f"no canonical encoding for a column of type {kind}")
