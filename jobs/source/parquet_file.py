"""Read a parquet file batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.source.batch import Batch
from jobs.source.content import readable

_ROWS = 1 << 16


class ParquetFile:
    """A batch.File of parquet with trimmed names; DataError if it is truncated or no parquet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._open() as file:
            stored = file.schema_arrow
        self.schema = pa.schema([field.with_name(field.name.strip()) for field in stored])
        self._stored = dict(zip(self.schema.names, stored.names, strict=True))

    def batches(self, columns: list[str]) -> Iterator[Batch]:
        done = 0
        stored = [self._stored[name] for name in columns]
        with self._open() as file:
            for data in file.iter_batches(_ROWS, columns=stored):
                rows = np.arange(done + 1, done + len(data) + 1)
                done += len(data)
                named = pa.table([data[name] for name in stored], names=columns)
                yield Batch(named, rows, done / file.metadata.num_rows)

    @contextmanager
    def _open(self) -> Iterator[pq.ParquetFile]:
        # For times of Impala and Hive: in nanoseconds, those after 2262 would overflow.
        with (
            readable(self.path, "a parquet file"),
            pq.ParquetFile(self.path, coerce_int96_timestamp_unit="us") as file,
        ):
            yield file
