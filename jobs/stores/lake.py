"""The lake: parquet files named by their content, and the manifests that list them.

Layout: `<pipeline>/<step>/<date>/<name>-<digest>.parquet` and `manifest.json`. Readers follow the
manifest's file list; files that no manifest names are invisible and are swept later. `schema.json`
has the schema version. Any file system that fsspec supports works.
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
    """A file of the lake: path, size in bytes, time of the last write (UTC)."""

    path: str
    size: int
    modified: datetime

    @property
    def half_written(self) -> bool:
        """Whether it is the partial file of a killed `write_bytes`."""
        return bool(_HALF_WRITTEN.fullmatch(PurePosixPath(self.path).name))


_DAMAGED = "a-file-of-the-lake-is-gone-or-damaged"  # of the runbook


class Lake:
    """One lake; all paths are relative to its root."""

    def __init__(self, url: str) -> None:
        # Not parsed by fsspec, which would split a path at `::`.
        if url.startswith("/"):
            self._fs, self._root = fsspec.filesystem("file"), url.rstrip("/")
        else:
            self._fs, self._root = fsspec.core.url_to_fs(url)
        self._local = "file" in (
            self._fs.protocol if isinstance(self._fs.protocol, tuple) else (self._fs.protocol,)
        )

    def uri(self, path: str) -> str:
        """Return the address from which Spark reads `path`."""
        full = f"{self._root}/{path}"
        # Hadoop's scheme for S3 is s3a.
        return (
            full
            if self._local
            else str(self._fs.unstrip_protocol(full)).replace("s3://", "s3a://", 1)
        )

    def write_bytes(self, path: str, data: bytes) -> None:
        """Write `path` atomically: a reader sees either the old bytes or the new ones."""
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
        """Return the bytes of `path`; DataError if it does not exist."""
        try:
            return bytes(self._fs.cat_file(f"{self._root}/{path}"))
        except FileNotFoundError:
            raise DataError(
                f"{path} is not in the lake",
                remedy="run the step that writes it again",
                input=path,
                section=_DAMAGED,
            ) from None

    def exists(self, path: str) -> bool:
        return bool(self._fs.exists(f"{self._root}/{path}"))

    def files(self, folder: str) -> list[str]:
        """Return the sorted names of the files directly in `folder`.

        [] if there is no such folder.
        """
        try:
            infos = self._fs.ls(f"{self._root}/{folder}", detail=True, refresh=True)
        except FileNotFoundError:
            return []
        return sorted(PurePosixPath(info["name"]).name for info in infos if info["type"] == "file")

    def listing(self, folder: str) -> list[File]:
        """Return every file below `folder`, also half-written ones, sorted by path.

        [] if there is no such folder.
        """
        self._fs.invalidate_cache()
        files = []
        with suppress(FileNotFoundError):
            # Otherwise fsspec returns nothing for an unreadable folder; object stores have none.
            strict = {"on_error": "raise"} if self._local else {}
            infos = self._fs.find(f"{self._root}/{folder}", detail=True, **strict)
            for full, info in sorted(infos.items()):
                with suppress(FileNotFoundError):  # renamed or removed meanwhile
                    modified = self._fs.modified(full)
                    files.append(
                        File(full.removeprefix(f"{self._root}/"), int(info["size"]), modified)
                    )
        return files

    def remove(self, path: str) -> None:
        """Remove a file if it exists.

        Its folder stays, since another process may be writing there.
        """
        with suppress(FileNotFoundError):
            self._fs.rm_file(f"{self._root}/{path}")

    def write_table(self, folder: str, name: str, table: pa.Table, key: Sequence[str]) -> Dataset:
        """Write `table` as one file sorted by `key`; the same rows give the same name and bytes."""
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
        """Return the table of a dataset.

        DataError if it is gone, damaged or has another row count.
        """
        data = io.BytesIO(self.read_bytes(dataset.path))
        wanted = list(columns) if columns else None
        with _readable(dataset):
            table = pq.read_table(data, columns=wanted, page_checksum_verification=True)
        _require_rows(dataset, table.num_rows)
        return table

    def require_readable(self, dataset: Dataset) -> None:
        """Raise DataError if the file is gone, cut off or has another row count, by its footer.

        For engines that read the file themselves: Spark silently skips an empty file.
        """
        if not self.exists(dataset.path):
            self.read_bytes(dataset.path)  # raises the error about the missing file
        with _readable(dataset), self._fs.open(f"{self._root}/{dataset.path}", "rb") as file:
            rows = pq.read_metadata(file).num_rows
        _require_rows(dataset, rows)

    def commit(self, manifest: Manifest) -> str:
        """Write the manifest, which makes its outputs visible; return its path."""
        path = f"{manifest.name}/manifest.json"
        self.write_bytes(path, manifest.to_bytes())
        return path

    def manifest(self, name: str) -> Manifest | None:
        """Return the manifest `<pipeline>/<step>/<date>`.

        None if the step has not run for that day.

        DataError if it exists but cannot be read.
        """
        path = f"{name}/manifest.json"
        try:
            return Manifest.from_bytes(self._fs.cat_file(f"{self._root}/{path}"))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise DataError(
                f"{path} is damaged: {error}",
                remedy="run the step that wrote it again",
                input=path,
                section=_DAMAGED,
            ) from None

    def result(
        self, pipeline: str, step: str, day: date, params_digest: str, attempt: str = ""
    ) -> Manifest:
        """Return a step's manifest of a day, if it is valid now.

        DataError if the step has not run, or not by `attempt`, if it ran with other parameters, or
        if its inputs have changed since.
        """
        name = manifest_name(pipeline, step, day)
        remedy = f"run it again: nightshift {step} --pipeline {pipeline} --date {day}"
        manifest = self.manifest(name)
        if manifest is None or attempt not in ("", manifest.attempt):
            by = f" by attempt {attempt}" if attempt else ""
            raise DataError(f"{step} has not run for {day}{by}", remedy=remedy, input=name)
        if manifest.params_digest != params_digest:
            raise DataError(
                f"{step} of {day} ran with other parameters than the current ones",
                remedy=f"check that both use the same params.yaml, then {remedy}",
                input=name,
            )
        for read, content in manifest.reads.items():
            if (now := self.manifest(read)) and now.content != content:
                raise DataError(
                    f"{step} of {day} read {read}, which has changed since",
                    remedy=remedy,
                    input=name,
                )
        return manifest

    def schema_version(self) -> int | None:
        """Return the schema version; 0 for a release without versions, None for an empty lake."""
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
        """Give an empty lake this code's version; ConfigError for a lake of another version."""
        if (number := self.schema_version()) is None:
            self.set_schema_version(needed("lake"))
        else:
            require("lake", number)

    def days(self, pipeline: str, step: str) -> list[date]:
        """Return the days for which `step` has a manifest, oldest first."""
        paths = self._manifests(f"{pipeline}/{step}", depth=2)
        return sorted(date.fromisoformat(path.parent.name) for path in paths)

    def steps(self, pipeline: str) -> list[str]:
        """Return the sorted steps that have a manifest."""
        return sorted({path.parents[1].name for path in self._manifests(pipeline, depth=3)})

    def _manifests(self, folder: str, depth: int) -> list[PurePosixPath]:
        """Return the manifests `depth` levels below `folder`.

        Found without a glob pattern, since the root may contain any character.
        """
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
            remedy="run the step that wrote it again, which writes the same file",
            input=dataset.path,
            section=_DAMAGED,
        ) from None


def _require_rows(dataset: Dataset, rows: int) -> None:
    if rows != dataset.rows:
        raise DataError(
            f"{dataset.path} has {rows} rows, but its manifest says {dataset.rows}",
            remedy="run the step that wrote it again",
            input=dataset.path,
            section=_DAMAGED,
        )


@contextmanager
def _gone_if_it_fails(partial: Path) -> Iterator[None]:
    """Remove the partial file of a failed write, which frees its space on a full disk."""
    try:
        yield
    except OSError:
        with suppress(OSError):
            partial.unlink()
        raise
