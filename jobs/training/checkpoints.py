"""Checkpoints in the lake: `<pipeline>/checkpoints/<key>/<stage>-<rounds>-<digest>.ubj`.

The key is a digest of everything that the training depends on, so that checkpoints of other data,
parameters, devices or code are never used. The name has the digest of the bytes, so that damaged
ones are skipped. Housekeeping deletes them.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy
import scipy
import xgboost

from jobs.core import log
from jobs.core.digest import bytes_digest, json_digest
from jobs.core.errors import DataError
from jobs.core.settings import PROJECT
from jobs.stores.lake import Lake

FOLDER = "checkpoints"


@dataclass(frozen=True)
class LakeCheckpoints:
    """The checkpoints of one training, as boosting.Checkpoints."""

    lake: Lake
    folder: str

    def save(self, stage: str, rounds: int, data: bytes) -> None:
        self.lake.write_bytes(
            f"{self.folder}/{stage}-{rounds:06}-{bytes_digest(data)[:16]}.ubj", data
        )

    def latest(self, stage: str) -> bytes | None:
        for name in sorted(self.lake.files(self.folder), reverse=True):
            place, _, digest = name.removesuffix(".ubj").rpartition("-")
            if place.rpartition("-")[0] != stage:
                continue
            data = self._read(name)
            if bytes_digest(data).startswith(digest):
                return data
            log.logger().warning("skipped a damaged checkpoint", path=f"{self.folder}/{name}")
        return None

    def _read(self, name: str) -> bytes:
        """Return its bytes; none if housekeeping has deleted it meanwhile."""
        with suppress(DataError):
            return self.lake.read_bytes(f"{self.folder}/{name}")
        return b""


def of(lake: Lake, pipeline: str, *depends_on: object) -> LakeCheckpoints:
    """Return the checkpoints of the training with these JSON values, this code and libraries."""
    versions = [library.__version__ for library in (numpy, scipy, xgboost)]
    key = json_digest([*depends_on, _code(), versions])
    return LakeCheckpoints(lake, f"{pipeline}/{FOLDER}/{key[:32]}")


def _code() -> str:
    """Return the digest of all sources: a list of those that matter would get outdated."""
    sha = hashlib.sha256()
    for path in sorted(Path(PROJECT, "jobs").rglob("*.py")):
        sha.update(path.read_bytes())
    return sha.hexdigest()
