"""A parquet file, read batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.core.errors import DataError
from jobs.source.batch import Batch

_ROWS = 1 << 16


class ParquetFile:
    """See batch.File. Raises DataError when the file is cut short or no parquet at all."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with _readable(path), pq.ParquetFile(path) as file:
            self.schema = file.schema_arrow

    def batches(self, columns: list[str]) -> Iterator[Batch]:
        done = 0
        with _readable(self.path), pq.ParquetFile(self.path) as file:
            for data in file.iter_batches(_ROWS, columns=columns):
                rows = np.arange(done + 1, done + len(data) + 1)
                done += len(data)
                yield Batch(data, rows, done / file.metadata.num_rows)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"it cannot be read as a parquet file: {str(error).splitlines()[0]}",
            input=str(path),
            remedy="it may be cut short: copy it again and compare the sizes",
        ) from error
