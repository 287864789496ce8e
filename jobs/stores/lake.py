"""The lake: parquet files named by their content, and the manifests that make them exist.

Layout: `<pipeline>/<step>/<date>/<name>-<digest>.parquet` beside `manifest.json`. A reader follows the
manifest's file list; files that no manifest names are invisible and are swept later. `schema.json` holds the
schema version. Any file system that fsspec knows will do.
"""

from __future__ import annotations

import io
import json
import os
import re
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path, PurePosixPath

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.core.digest import table_digest
from jobs.core.errors import DataError
from jobs.core.failures import writing
from jobs.core.manifest import Dataset, Manifest, manifest_name
from jobs.stores.versions import needed, require

_SCHEMA = "schema.json"
_HALF_WRITTEN = re.compile(r"\..+\.[0-9a-f]{8}")


@dataclass(frozen=True)
class File:
    """A file as the lake lists it: its path, its bytes, and when it was written last (UTC)."""

    path: str
    size: int
    modified: datetime

    @property
    def half_written(self) -> bool:
        """Whether it is what `write_bytes` leaves when it is killed."""
        return bool(_HALF_WRITTEN.fullmatch(PurePosixPath(self.path).name))


_DAMAGED = "a-file-of-the-lake-is-gone-or-damaged"  # of the runbook


class Lake:
    """One lake; every path below is relative to its root."""

    def __init__(self, url: str) -> None:
        # A path is taken as it is: fsspec would split it at `::`.
        if url.startswith("/"):
            self._fs, self._root = fsspec.filesystem("file"), url.rstrip("/")
        else:
            self._fs, self._root = fsspec.core.url_to_fs(url)
        self._local = "file" in (
            self._fs.protocol if isinstance(self._fs.protocol, tuple) else (self._fs.protocol,)
        )

    def uri(self, path: str) -> str:
        """The address under which Spark reads `path`."""
        full = f"{self._root}/{path}"
        # fsspec and Hadoop name the same S3 differently.
        return (
            full
            if self._local
            else str(self._fs.unstrip_protocol(full)).replace("s3://", "s3a://", 1)
        )

    def write_bytes(self, path: str, data: bytes) -> None:
        """Write `path` whole or not at all; a reader sees the old bytes or the new, never a part."""
        full = f"{self._root}/{path}"
        if not self._local:
            self._fs.pipe_file(full, data)
            return
        target = Path(full)
        partial = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
        with writing(target), _gone_if_it_fails(partial):
            target.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)

    def read_bytes(self, path: str) -> bytes:
        """The bytes of `path`; DataError when it is not there."""
        try:
            return bytes(self._fs.cat_file(f"{self._root}/{path}"))
        except FileNotFoundError:
            raise DataError(
                f"{path} is not in the lake",
                remedy="re-run the step that writes it",
                input=path,
                section=_DAMAGED,
            ) from None

    def exists(self, path: str) -> bool:
        return bool(self._fs.exists(f"{self._root}/{path}"))

    def files(self, folder: str) -> list[str]:
        """The names of the files right in `folder`, sorted; none when there is no such folder."""
        try:
            found = self._fs.ls(f"{self._root}/{folder}", detail=True, refresh=True)
        except FileNotFoundError:
            return []
        return sorted(PurePosixPath(each["name"]).name for each in found if each["type"] == "file")

    def listing(self, folder: str) -> list[File]:
        """Every file below `folder`, those of half a write with them, sorted by path; none when there is no such folder."""
        self._fs.invalidate_cache()
        found = []
        with suppress(FileNotFoundError):
            # Else a folder that cannot be read is taken for an empty one; object stores have no folders.
            strict = {"on_error": "raise"} if self._local else {}
            infos = self._fs.find(f"{self._root}/{folder}", detail=True, **strict)
            for full, info in sorted(infos.items()):
                with suppress(FileNotFoundError):  # renamed or removed meanwhile
                    modified = self._fs.modified(full)
                    found.append(
                        File(full.removeprefix(f"{self._root}/"), int(info["size"]), modified)
                    )
        return found

    def remove(self, path: str) -> None:
        """Remove a file; nothing happens when it is gone. Its folder stays: somebody may be about to write there."""
        with suppress(FileNotFoundError):
            self._fs.rm_file(f"{self._root}/{path}")

    def write_table(self, folder: str, name: str, table: pa.Table, key: Sequence[str]) -> Dataset:
        """Write `table` as one file sorted by `key`, named by its content; the same rows give the same bytes."""
        digest = table_digest(table, key)
        path = f"{folder}/{name}-{digest[:16]}.parquet"
        ordered = table.sort_by([(column, "ascending") for column in key]).combine_chunks()
        buffer = io.BytesIO()
        pq.write_table(
            ordered, buffer, compression="zstd", row_group_size=131_072, write_page_checksum=True
        )
        self.write_bytes(path, buffer.getvalue())
        return Dataset(name=name, path=path, rows=table.num_rows, digest=digest)

    def read_table(self, dataset: Dataset, columns: Sequence[str] | None = None) -> pa.Table:
        """The table that a manifest names; DataError when the file is gone, damaged or of another length."""
        data = io.BytesIO(self.read_bytes(dataset.path))
        wanted = list(columns) if columns else None
        with _readable(dataset):
            table = pq.read_table(data, columns=wanted, page_checksum_verification=True)
        _require_rows(dataset, table.num_rows)
        return table

    def require_readable(self, dataset: Dataset) -> None:
        """DataError when the file is gone, cut off or of another length, by its footer alone.

        For engines that read the file themselves: Spark skips an empty file without a word.
        """
        if not self.exists(dataset.path):
            self.read_bytes(dataset.path)  # which says what is gone
        with _readable(dataset), self._fs.open(f"{self._root}/{dataset.path}", "rb") as file:
            rows = pq.read_metadata(file).num_rows
        _require_rows(dataset, rows)

    def commit(self, manifest: Manifest) -> str:
        """Make the manifest's outputs visible; returns its path."""
        path = f"{manifest.name}/manifest.json"
        self.write_bytes(path, manifest.to_bytes())
        return path

    def manifest(self, name: str) -> Manifest | None:
        """The manifest called `<pipeline>/<step>/<date>`, or None when that day has not been done.

        DataError when it is there but cannot be read.
        """
        path = f"{name}/manifest.json"
        try:
            return Manifest.from_bytes(self._fs.cat_file(f"{self._root}/{path}"))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise DataError(
                f"{path} is damaged: {error}",
                remedy="re-run the step that wrote it",
                input=path,
                section=_DAMAGED,
            ) from None

    def result(
        self, pipeline: str, step: str, day: date, params_digest: str, attempt: str = ""
    ) -> Manifest:
        """What a step has left for a day; DataError when that is nothing, of another attempt than the one asked for,
        or made by other parameters, or from something that has changed since.
        """
        name = manifest_name(pipeline, step, day)
        remedy = f"run it again: nightshift {step} --pipeline {pipeline} --date {day}"
        found = self.manifest(name)
        if found is None or attempt not in ("", found.attempt):
            by = f" by attempt {attempt}" if attempt else ""
            raise DataError(f"{step} has not been done for {day}{by}", remedy=remedy, input=name)
        if found.params_digest != params_digest:
            raise DataError(
                f"{step} of {day} was done with other parameters than those of now",
                remedy=f"see that both read the same params.yaml, then {remedy}",
                input=name,
            )
        for read, content in found.reads.items():
            if (now := self.manifest(read)) and now.content != content:
                raise DataError(
                    f"{step} of {day} read {read}, which has changed since",
                    remedy=remedy,
                    input=name,
                )
        return found

    def schema_version(self) -> int | None:
        """The version of the layout and of the manifests; 0 of a release without versions, None of an empty lake."""
        try:
            return int(json.loads(self._fs.cat_file(f"{self._root}/{_SCHEMA}"))["number"])
        except FileNotFoundError:
            return 0 if self._manifests("", depth=4) else None
        except (ValueError, KeyError, TypeError):
            raise DataError(
                f"{_SCHEMA} of the lake does not name a schema version",
                remedy=f"restore it from a backup; this code writes {needed('lake')}",
                input=f"{self._root}/{_SCHEMA}",
            ) from None

    def set_schema_version(self, number: int) -> None:
        self.write_bytes(_SCHEMA, json.dumps({"number": number}).encode())

    def require_schema_version(self) -> None:
        """Mark an empty lake with this code's version; ConfigError for a lake of another version."""
        if (number := self.schema_version()) is None:
            self.set_schema_version(needed("lake"))
        else:
            require("lake", number)

    def days(self, pipeline: str, step: str) -> list[date]:
        """The days of which `step` has a manifest, oldest first."""
        found = self._manifests(f"{pipeline}/{step}", depth=2)
        return sorted(date.fromisoformat(path.parent.name) for path in found)

    def steps(self, pipeline: str) -> list[str]:
        """The steps that have left a manifest."""
        return sorted({path.parents[1].name for path in self._manifests(pipeline, depth=3)})

    def _manifests(self, folder: str, depth: int) -> list[PurePosixPath]:
        """Every manifest so many levels below `folder`. No pattern: the root may have any character in it."""
        top = f"{self._root}/{folder}".rstrip("/")
        paths = [PurePosixPath(path) for path in self._fs.find(top, maxdepth=depth)]
        return [
            path
            for path in paths
            if path.name == "manifest.json" and len(path.relative_to(top).parts) == depth
        ]


@contextmanager
def _readable(dataset: Dataset) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{dataset.path} cannot be read: {error}",
            remedy="re-run the step that wrote it; the file is named by content and is written again",
            input=dataset.path,
            section=_DAMAGED,
        ) from None


def _require_rows(dataset: Dataset, rows: int) -> None:
    if rows != dataset.rows:
        raise DataError(
            f"{dataset.path} has {rows} rows, its manifest says {dataset.rows}",
            remedy="re-run the step that wrote it",
            input=dataset.path,
            section=_DAMAGED,
        )


@contextmanager
def _gone_if_it_fails(partial: Path) -> Iterator[None]:
    """Remove a file whose writing failed: on a full disk its bytes are what others lack."""
    try:
        yield
    except OSError:
        with suppress(OSError):
            partial.unlink()
        raise
