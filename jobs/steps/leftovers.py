"""Finds what can be removed, and why, from listings, manifests and the clock. Removes nothing.

Age distinguishes the work of a dead attempt from that of a running one: no manifest names either.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import PurePosixPath
from typing import Literal

from jobs.core import text_table
from jobs.core.manifest import Manifest
from jobs.stores.lake import File
from jobs.training.checkpoints import FOLDER as CHECKPOINTS

Kind = Literal[
    "file", "half-written file", "checkpoints", "staging table", "half load", "version", "keys"
]
SHOWN = 200
_MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Leftover:
    """One thing to remove: its name in its store, the reason, since when, and its bytes."""

    kind: Kind
    name: str
    why: str
    since: datetime | None = None
    size: int = 0


def named(manifests: Iterable[Manifest]) -> set[str]:
    """Every text in the manifests, so that a file counts as named wherever it occurs.

    Inputs count too: no manifest may name a missing file, even if the day was extracted again
    since.
    """
    return {text for manifest in manifests for text in _texts(manifest.model_dump(mode="json"))}


def files(
    listing: Sequence[File], names: set[str], now: datetime, min_age: timedelta
) -> list[Leftover]:
    """Files of `<pipeline>/<step>/<date>/` that are not in `names`, and half-written files
    anywhere.

    `listing` is sorted. A file is kept while the manifest next to it is young: a reader that
    started before that manifest may still read files of the previous one.
    """
    committed = {folder_of(file.path): file.modified for file in listing if _is_manifest(file)}
    doomed = []
    for file in listing:
        if not file.half_written and (
            _is_manifest(file) or not _dated(file.path) or file.path in names
        ):
            continue
        since = max(file.modified, committed.get(folder_of(file.path), file.modified))
        if now - since >= min_age:
            doomed.append(_leftover(file, since))
    return doomed


def checkpoints(listing: Sequence[File], now: datetime, max_age: timedelta) -> list[Leftover]:
    """The folders `<pipeline>/checkpoints/<key>` with no file younger than `max_age`."""
    trainings: dict[str, list[File]] = defaultdict(list)
    for file in listing:
        if file.path.split("/")[1] == CHECKPOINTS and not file.half_written:
            trainings[str(PurePosixPath(file.path).parent)].append(file)
    newest = {key: max(file.modified for file in group) for key, group in trainings.items()}
    return [
        Leftover(
            "checkpoints",
            key,
            "no training has resumed since",
            newest[key],
            sum(f.size for f in group),
        )
        for key, group in trainings.items()
        if now - newest[key] >= max_age
    ]


def staging_tables(
    created: Mapping[str, datetime], now: datetime, min_age: timedelta
) -> list[Leftover]:
    """The staging tables of attempts that must be dead; `created` has the time of each table."""
    return [
        Leftover("staging table", name, "its attempt ended before the swap", since)
        for name, since in created.items()
        if now - since >= min_age
    ]


def report(title: str, group: Sequence[Leftover], now: datetime) -> str:
    """A line of totals and, below it, a table with one line per leftover, at most SHOWN."""
    rows = [
        (
            leftover.kind,
            leftover.name,
            _age(now, leftover.since),
            f"{leftover.size:,}" if leftover.size else "",
            leftover.why,
        )
        for leftover in group[:SHOWN]
    ]
    columns = ("what", "name", "age", "bytes", "why")
    lines = text_table.plain(columns, rows).splitlines() if rows else []
    more = [f"and {len(group) - SHOWN} more"] if len(group) > SHOWN else []
    total = sum(leftover.size for leftover in group)
    return "\n  ".join([f"{title}: {len(group)}, in the lake {total:,} bytes", *lines, *more])


def folder_of(path: str) -> str:
    """The folder of the manifest that names the file (`<pipeline>/<step>/<date>`), or its own."""
    return "/".join(path.split("/")[:3]) if _dated(path) else str(PurePosixPath(path).parent)


def _leftover(file: File, since: datetime) -> Leftover:
    if file.half_written:
        return Leftover("half-written file", file.path, "its writer was killed", since, file.size)
    return Leftover("file", file.path, "no manifest names it", since, file.size)


def _is_manifest(file: File) -> bool:
    return file.path == f"{folder_of(file.path)}/{_MANIFEST}"


def _dated(path: str) -> bool:
    parts = path.split("/")
    try:
        return len(parts) > 3 and str(date.fromisoformat(parts[2])) == parts[2]
    except ValueError:
        return False


def _age(now: datetime, since: datetime | None) -> str:
    return f"{(now - since).total_seconds() / 3600:,.0f} h" if since else ""


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, Sequence):
        for item in value:
            yield from _texts(item)
