"""Files to be loaded: found by pattern, opened by suffix."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from pathlib import Path

from jobs.core.errors import DataError
from jobs.source.batch import File
from jobs.source.csv_file import CsvFile, CsvFormat
from jobs.source.parquet_file import ParquetFile

PARQUET = (".parquet", ".pq")


def expand(patterns: Iterable[str]) -> list[Path]:
    """The files that the glob patterns name, each once, in the order of the patterns, then of the names.

    Raises DataError for a pattern that matches no file.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        matches = map(Path, sorted(glob.glob(pattern, recursive=True)))  # noqa: PTH207 - Path.glob takes no absolute pattern
        if not (files := [path for path in matches if path.is_file()]):
            raise DataError("no file matches", input=pattern, remedy="check the path, and quote the pattern")
        found |= dict.fromkeys(files)
    return list(found)


def open_file(path: Path, form: CsvFormat, parquet: bool | None = None) -> File:
    """`path` opened as parquet or as CSV; unless told, by its suffix: .parquet or .pq, else CSV.

    Raises DataError when it is not what it seems.
    """
    return (
        ParquetFile(path) if parquet or (parquet is None and path.suffix in PARQUET) else CsvFile(path, form)
    )
