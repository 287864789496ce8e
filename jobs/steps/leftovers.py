"""What nobody needs any more, and why: decided from listings, manifests and the clock alone; nothing is removed here.

Age is what tells the work of a dead attempt from that of one under way: both are files that no manifest names.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import PurePosixPath
from typing import Any, Literal

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
    """One thing to be removed: its name in its store, why it goes, since when it could have, and its bytes, where known."""

    kind: Kind
    name: str
    why: str
    since: datetime | None = None
    size: int = 0


def named(manifests: Iterable[Manifest]) -> set[str]:
    """Every text in the manifests, so that a file counts as named wherever one speaks of it: outputs, inputs, facts.

    Inputs count: a manifest must not name a file that is gone, not even one that has been extracted anew since.
    """
    return {text for manifest in manifests for text in _texts(manifest.model_dump(mode="json"))}


def files(
    found: Sequence[File], known: set[str], now: datetime, min_age: timedelta
) -> list[Leftover]:
    """Files of `<pipeline>/<step>/<date>/` that are not among the names `known`, and half-written files of any folder.

    `found` is sorted. A file counts as young while the manifest beside it is: a reader that began before that
    manifest was written may still read what the one before it named.
    """
    committed = {folder_of(file.path): file.modified for file in found if _is_manifest(file)}
    gone = []
    for file in found:
        if not file.half_written and (
            _is_manifest(file) or not _dated(file.path) or file.path in known
        ):
            continue
        since = max(file.modified, committed.get(folder_of(file.path), file.modified))
        if now - since >= min_age:
            gone.append(_leftover(file, since))
    return gone


def checkpoints(found: Sequence[File], now: datetime, max_age: timedelta) -> list[Leftover]:
    """The folders `<pipeline>/checkpoints/<key>` of which even the newest file is older than `max_age`."""
    trainings: dict[str, list[File]] = defaultdict(list)
    for file in found:
        if file.path.split("/")[1] == CHECKPOINTS and not file.half_written:
            trainings[str(PurePosixPath(file.path).parent)].append(file)
    newest = {key: max(file.modified for file in group) for key, group in trainings.items()}
    return [
        Leftover(
            "checkpoints",
            key,
            "no training has gone on since",
            newest[key],
            sum(f.size for f in group),
        )
        for key, group in trainings.items()
        if now - newest[key] >= max_age
    ]


def staging_tables(
    made: Mapping[str, datetime], now: datetime, min_age: timedelta
) -> list[Leftover]:
    """The staging tables of attempts that must be dead by now; `made` says when each was made."""
    return [
        Leftover("staging table", name, "its attempt ended before the swap did", since)
        for name, since in made.items()
        if now - since >= min_age
    ]


def report(title: str, found: Sequence[Leftover], now: datetime) -> str:
    """A line of totals and, below it, a table with a line each; a long one is cut."""
    rows = [
        (
            each.kind,
            each.name,
            _age(now, each.since),
            f"{each.size:,}" if each.size else "",
            each.why,
        )
        for each in found[:SHOWN]
    ]
    cells = [("what", "name", "age", "bytes", "why"), *rows] if rows else []
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in cells]
    more = [f"and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
    total = sum(each.size for each in found)
    return "\n  ".join([f"{title}: {len(found)}, in the lake {total:,} bytes", *lines, *more])


def folder_of(path: str) -> str:
    """The folder whose manifest names the file: `<pipeline>/<step>/<date>`; of other files the folder they are in."""
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


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, Sequence):
        for each in value:
            yield from _texts(each)
