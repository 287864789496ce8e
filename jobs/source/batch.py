"""What a file to be loaded gives, whatever its format: batches of rows that know their numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa


@dataclass(frozen=True)
class Rejected:
    """A row that is not loaded, why, and the text that was wrong."""

    row: int
    reason: str
    value: str


@dataclass(frozen=True)
class Batch:
    """`data`, the number of each of its rows in the file, and the share of the file read so far.

    In a file of text a row has the number of its line, elsewhere its place; both from 1. `malformed` are the lines
    met on the way that are no rows, `notes` counts what is odd, by what is to be said of it.
    """

    data: Any
    rows: npt.NDArray[np.int64]
    share: float
    malformed: list[Rejected] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=dict)


class File(Protocol):
    """An open file; `schema` is that of its batches."""

    path: Path
    schema: pa.Schema

    def batches(self, columns: list[str]) -> Iterator[Batch]:
        """The rows, with these columns only. Raises DataError where the file turns out to be broken."""
        ...
