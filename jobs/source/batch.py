"""The interface of an input file of any format: batches of numbered rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa


@dataclass(frozen=True)
class Rejected:
    """A row that is not loaded, the reason, and the wrong text."""

    row: int
    reason: str
    value: str


@dataclass(frozen=True)
class Batch:
    """Rows of a file (`data`), their numbers in it, and the share of the file read so far.

    The number is the line in a text file, else the position, both from 1. `malformed` are lines
    that are no rows; `notes` counts odd rows by message.
    """

    data: pa.Table | pa.RecordBatch
    rows: npt.NDArray[np.int64]
    share: float
    malformed: list[Rejected] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=dict)


class InputFile(Protocol):
    """An open file; `schema` is that of its batches."""

    path: Path
    schema: pa.Schema

    def batches(self, columns: list[str]) -> Iterator[Batch]:
        """Yield the rows with only these columns; DataError if the file is broken."""
        ...
