"""Files to be loaded: found by pattern, opened by their content."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from pathlib import Path

from jobs.core.errors import DataError
from jobs.source.batch import File
from jobs.source.content import is_parquet
from jobs.source.csv_file import CsvFile, CsvFormat
from jobs.source.parquet_file import ParquetFile


def expand(patterns: Iterable[str]) -> list[Path]:
    """The files that the glob patterns name, each once, in the order of the patterns, then of the names.

    Raises DataError for a pattern that matches no file.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        if not (files := [path for path in _matches(pattern) if path.is_file()]):
            folder = Path(pattern).is_dir()
            remedy = (
                f"name the files in it: '{pattern}/*'"
                if folder
                else "check the path, and quote the pattern"
            )
            raise DataError("no file matches", input=pattern, remedy=remedy)
        found |= dict.fromkeys(files)
    return list(found)


def _matches(pattern: str) -> list[Path]:
    """What the pattern names; a file or folder that is called like it, brackets and all, before what it matches."""
    path = Path(pattern)
    if path.is_file():
        return [path]
    if path.parent.is_dir():
        pattern = str(Path(glob.escape(str(path.parent)), path.name))
    return [Path(each) for each in sorted(glob.glob(pattern, recursive=True))]  # noqa: PTH207 - Path.glob takes no absolute pattern


def open_file(path: Path, form: CsvFormat, parquet: bool | None = None) -> File:
    """`path` opened as parquet or as CSV; unless `parquet` says which, as its content does.

    Raises DataError when it is neither.
    """
    return (
        ParquetFile(path)
        if (is_parquet(path) if parquet is None else parquet)
        else CsvFile(path, form)
    )
