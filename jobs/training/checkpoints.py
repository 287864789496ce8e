"""Checkpoints of trainings, in the lake: `<pipeline>/checkpoints/<key>/<stage>-<rounds>-<digest>.ubj`.

The key is a digest of all that the training depends on, so a checkpoint of other data, parameters, device or code is
never found; the name holds the digest of the bytes, so a damaged one is known and passed over. Housekeeping removes them.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    """The checkpoints of one training; satisfies core.boosting.Checkpoints."""

    lake: Lake
    folder: str

    def save(self, stage: str, rounds: int, data: bytes) -> None:
        self.lake.write_bytes(
            f"{self.folder}/{stage}-{rounds:06}-{bytes_digest(data)[:16]}.ubj", data
        )

    def latest(self, stage: str) -> bytes | None:
        for name in sorted(self.lake.files(self.folder), reverse=True):
            told, _, digest = name.removesuffix(".ubj").rpartition("-")
            if told.rpartition("-")[0] != stage:
                continue
            data = self._read(name)
            if bytes_digest(data).startswith(digest):
                return data
            log.logger().warning(
                "a damaged checkpoint is passed over", path=f"{self.folder}/{name}"
            )
        return None

    def _read(self, name: str) -> bytes:
        """Its bytes; none when housekeeping removed it meanwhile."""
        with suppress(DataError):
            return self.lake.read_bytes(f"{self.folder}/{name}")
        return b""


def of(lake: Lake, pipeline: str, *depends_on: Any) -> LakeCheckpoints:
    """Those of the training that depends on these JSON values, and on the code and the libraries that run it."""
    versions = [library.__version__ for library in (numpy, scipy, xgboost)]
    key = json_digest([*depends_on, _code(), versions])
    return LakeCheckpoints(lake, f"{pipeline}/{FOLDER}/{key[:32]}")


def _code() -> str:
    """Digest of all sources: which of them matter to a training, nobody would keep up to date."""
    sha = hashlib.sha256()
    for path in sorted(Path(PROJECT, "jobs").rglob("*.py")):
        sha.update(path.read_bytes())
    return sha.hexdigest()
