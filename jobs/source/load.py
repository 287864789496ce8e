"""Load files into the operational tables: all valid rows without repeats, or nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from jobs.core.errors import DataError
from jobs.core.failpoint import failpoint
from jobs.source.batch import Batch, InputFile, Rejected
from jobs.source.database import writing
from jobs.source.files import expand
from jobs.source.mapping import Source, file_columns
from jobs.source.notes import notes
from jobs.source.rejects import Rejects
from jobs.source.request import Request
from jobs.source.rows import read_rows
from jobs.source.schema import OperationalTable
from jobs.source.stage import Stage

Progress = Callable[[str, float], None]  # the stage, and the share of it that is done


@dataclass(frozen=True)
class Summary:
    """The result of a load in rows: read = loaded + duplicates + rejected.

    `written` is the number of loaded rows that were new or changed; the others existed already.
    `companions` counts the rows written to other tables, by noun.
    `remarks` counts valid rows by remark. `unsupplied` maps columns that no file has to the
    consequence.
    """

    files: int = 0
    read: int = 0
    loaded: int = 0
    written: int = 0
    companions: Mapping[str, int] = field(default_factory=dict)
    duplicates: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)
    rejects: Path | None = None
    ignored: tuple[str, ...] = ()
    remarks: Mapping[str, int] = field(default_factory=dict)
    unsupplied: Mapping[str, str] = field(default_factory=dict)


def load(dsn: str, request: Request, rejects: Path, progress: Progress) -> Summary:
    """Load the files in one transaction; return the summary.

    For a row with an existing key, only the columns in the files change. Unreadable rows, and all
    rows that share a key but differ, go to the file `rejects`. DataError, with nothing loaded, for
    an unreadable file, for one that lacks a column of another file, and if more than
    `max_bad_fraction` of the rows are rejected; StoreError if the database fails.
    """
    files = [request.open(path) for path in expand(request.patterns)]
    sources = [
        request.map.resolve(request.supplied, file.schema, str(file.path), request.dialect)
        for file in files
    ]
    if not request.missing_columns:
        _check_alike(files, sources)
    with Rejects(rejects) as bad, writing(dsn, request.created) as cursor:
        stage = Stage(cursor, request.staged)
        remarks: Counter[str] = Counter()
        read, columns = _copy(stage, request, files, sources, bad, remarks, progress)
        progress("looking for repeated rows", 0.0)
        duplicates = _drop_repeats(stage, request.table, files, bad)
        _check(bad, read, request.max_bad_fraction)
        progress("writing", 0.0)
        written, companions = _merge(stage, request, columns)
        counted = {remark.text: stage.count(remark.query) for remark in request.remarks}
        failpoint("source.load.written")
    progress("writing", 1.0)
    rejected = sum(bad.counts.values())
    return Summary(
        files=len(files),
        read=read,
        loaded=read - duplicates - rejected,
        written=written,
        companions=companions,
        duplicates=duplicates,
        rejected=dict(bad.counts),
        rejects=bad.path if rejected else None,
        ignored=_ignored(files, sources),
        remarks=counted | remarks,
        unsupplied=_unsupplied(request, sources),
    )


Columns = dict[tuple[str, ...], list[int]]
"""Table columns that files supply: the numbers of these files."""


def _copy(
    stage: Stage,
    request: Request,
    files: list[InputFile],
    sources: list[dict[str, Source]],
    bad: Rejects,
    remarks: Counter[str],
    progress: Progress,
) -> tuple[int, Columns]:
    """Stage the valid rows of all files.

    Return the number of rows read and the supplied columns.
    """
    sizes = [file.path.stat().st_size for file in files]
    read, supplied = 0, Columns()
    for number, (file, source) in enumerate(zip(files, sources, strict=True)):
        names: tuple[str, ...] = ()
        # If all values are constants or row numbers, any column gives the number of rows.
        for batch in file.batches(file_columns(source.values()) or file.schema.names[:1]):
            rows, rejected = _read(batch, file.path, request, source)
            names = tuple(rows.column_names)
            remarks.update(batch.notes)
            remarks.update(notes(rows, request.staged))
            stage.copy(rows, number)
            bad.add(file.path, rejected)
            read += len(rows) + len(rejected)
            progress("reading", (sum(sizes[:number]) + batch.share * sizes[number]) / sum(sizes))
        supplied.setdefault(names, []).append(number)
    return read, supplied


def _read(
    batch: Batch, path: Path, request: Request, source: dict[str, Source]
) -> tuple[pa.Table, list[Rejected]]:
    rows, numbers, rejected = read_rows(
        batch, path, request.supplied, source, request.constants, request.dialect
    )
    return request.derive(rows).append_column("row", numbers), batch.malformed + rejected


def _drop_repeats(
    stage: Stage, table: OperationalTable, files: list[InputFile], bad: Rejects
) -> int:
    """Reject contradicting rows and drop repeated ones; return how many were repeats."""
    if not stage.find_repeats(table.key):
        return 0
    reason = f"{table.key} occurs again with different content"
    for file, row, key in stage.conflicts(table.key):
        bad.add(files[file].path, [Rejected(row, reason, key)])
    return stage.drop_repeats(table.key)


def _check(bad: Rejects, read: int, limit: float) -> None:
    rejected = sum(bad.counts.values())
    if rejected <= limit * read:
        return
    reasons = "; ".join(f"{count:,} × {reason}" for reason, count in bad.counts.most_common())
    raise DataError(
        f"{rejected:,} of {read:,} rows cannot be loaded, "
        f"more than --max-bad-fraction {limit:g} allows: {reasons}. Nothing was loaded",
        input=str(bad.path),
        remedy="correct the rows that this file lists with their reasons, "
        "or raise --max-bad-fraction",
    )


def _merge(stage: Stage, request: Request, columns: Columns) -> tuple[int, dict[str, int]]:
    """Merge the staged rows; return how many were written, and how many of other tables."""
    written = sum(stage.merge(request.table, names, files) for names, files in columns.items())
    other = request.companion
    return written, {other.noun: other.merge(stage)} if other else {}


def _check_alike(files: list[InputFile], sources: list[dict[str, Source]]) -> None:
    """Raise DataError if a file lacks a column of another file: it may have another name there."""
    for file, source in zip(files, sources, strict=True):
        for other, more in zip(files, sources, strict=True):
            if lacks := sorted(set(more) - set(source)):
                raise DataError(
                    f"it has no column for {', '.join(lacks)}, which {other.path} has; "
                    f"it has {', '.join(file.schema.names)}",
                    input=str(file.path),
                    remedy="rename the column, load the files one by one with a --map for each, "
                    "or pass --allow-missing-columns to keep the values of missing columns",
                )


def _unsupplied(request: Request, sources: list[dict[str, Source]]) -> dict[str, str]:
    supplied = {name for source in sources for name in source}
    return {column.name: column.cost for column in request.unsupplied(supplied)}


def _ignored(files: list[InputFile], sources: list[dict[str, Source]]) -> tuple[str, ...]:
    pairs = zip(files, sources, strict=True)
    return tuple(
        sorted(
            {
                name
                for file, source in pairs
                for name in set(file.schema.names) - {"", *file_columns(source.values())}
            }
        )
    )
