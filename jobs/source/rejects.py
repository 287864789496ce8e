"""The file of rejected rows with their reasons."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import TextIO

from jobs.core.failures import writing
from jobs.source.batch import Rejected


class Rejects:
    """A CSV file of rejected rows, created with the first one: file, line, reason, value.

    For parquet, the line is the row number. `counts` has the number of rows by reason.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.counts: Counter[str] = Counter()
        self._file: TextIO | None = None

    def add(self, file: Path, rows: Iterable[Rejected]) -> None:
        with writing(self.path):
            for rejected in rows:
                csv.writer(self._opened()).writerow(
                    (file, rejected.row, rejected.reason, rejected.value)
                )
                self.counts[rejected.reason] += 1
            if self._file is not None:
                self._file.flush()  # a full disk is an error before the good rows are committed

    def _opened(self) -> TextIO:
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("x", encoding="utf-8", newline="")
            csv.writer(self._file).writerow(("file", "line", "reason", "value"))
        return self._file

    def __enter__(self) -> Rejects:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            with writing(self.path):
                self._file.close()
