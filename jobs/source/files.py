"""Find input files by pattern, and open them by content."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from pathlib import Path

from jobs.core.errors import DataError
from jobs.source.batch import InputFile
from jobs.source.content import is_parquet
from jobs.source.csv_file import CsvFile, CsvFormat
from jobs.source.parquet_file import ParquetFile


def expand(patterns: Iterable[str]) -> list[Path]:
    """Return the files of the glob patterns without repeats, in order of pattern, then name.

    DataError for a pattern that matches no file.
    """
    unique: dict[Path, None] = {}
    for pattern in patterns:
        if not (files := [path for path in _matches(pattern) if path.is_file()]):
            folder = Path(pattern).is_dir()
            remedy = (
                f"pass the files in it: '{pattern}/*'"
                if folder
                else "check the path, and quote the pattern"
            )
            raise DataError("no file matches", input=pattern, remedy=remedy)
        unique |= dict.fromkeys(files)
    return list(unique)


def _matches(pattern: str) -> list[Path]:
    """Return the paths of a pattern; a path with exactly that name takes precedence."""
    path = Path(pattern)
    if path.is_file():
        return [path]
    if path.parent.is_dir():
        pattern = str(Path(glob.escape(str(path.parent)), path.name))
    # Path.glob takes no absolute pattern.
    return [Path(name) for name in sorted(glob.glob(pattern, recursive=True))]  # noqa: PTH207


def open_file(path: Path, form: CsvFormat, parquet: bool | None = None) -> InputFile:
    """Open `path` as parquet or CSV, by `parquet` or else by content.

    DataError if it is neither.
    """
    return (
        ParquetFile(path)
        if (is_parquet(path) if parquet is None else parquet)
        else CsvFile(path, form)
    )
