"""Snapshots under DVC: a registry of the platform's own, without git, its remote in the lake.

DVC gives a training set a name that no later run can change (its md5) and brings it back years later; the
lake's own file is what tonight's training reads.
"""

from __future__ import annotations

import fcntl
import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from jobs.core.errors import DataError
from jobs.core.settings import Settings

_REMOTE = "lake"


def track(settings: Settings, pipeline: str, name: str, data: bytes) -> tuple[str, str]:
    """Track `data` as `<pipeline>/<name>`, push it, and return (md5, text of its .dvc file). Idempotent."""
    with _registry(settings) as repo, tempfile.TemporaryDirectory(dir=settings.home) as folder:
        path, given = Path(repo.root_dir) / pipeline / name, Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        given.write_bytes(data)
        # Straight to the remote: a copy in DVC's own cache would double what the lake already holds.
        repo.add(str(given), out=str(path), to_remote=True, remote=_REMOTE, force=True)
        _sweep(repo.cloud.get_remote_odb(name=_REMOTE))
        pointer = Path(f"{path}.dvc").read_text()
        return str(yaml.safe_load(pointer)["outs"][0]["md5"]), pointer


def restore(settings: Settings, pointer: Path, target: Path) -> str:
    """Bring back, from the remote, the file that a .dvc file names; returns its md5."""
    out = yaml.safe_load(pointer.read_text())["outs"][0]
    with _registry(settings) as repo:
        remote = repo.cloud.get_remote_odb(name=_REMOTE)
        path = remote.oid_to_path(out["md5"])
        if not remote.fs.exists(path):
            raise DataError(
                f"the remote holds no object {out['md5']}",
                remedy=f"the snapshot was swept; retrain, or restore {remote.path} from its backup",
                input=str(pointer),
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        remote.fs.get_file(path, str(target))
    return str(out["md5"])


def _sweep(remote: Any) -> None:
    """Remove the upload that DVC copies into place but leaves behind, a whole snapshot each."""
    for path in remote.fs.ls(remote.path, detail=False):
        if path.endswith(".tmp"):
            remote.fs.remove(path)


@contextmanager
def _registry(settings: Settings) -> Iterator[Any]:
    """The registry, opened by one process at a time: DVC's own lock gives up where ours waits."""
    from dvc.repo import Repo

    logging.getLogger("dvc").setLevel(logging.ERROR)
    root = settings.home / "registry"
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".nightshift-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (root / ".dvc" / "config").exists():
            Repo.init(str(root), no_scm=True, force=True).close()
        # Locks of a process that was killed: whoever is here holds the registry alone.
        shutil.rmtree(root / ".dvc" / "tmp", ignore_errors=True)
        core = {"analytics": False, "remote": _REMOTE, "autostage": False}
        # Given here and not in its file, whose format has no room for every path.
        with (
            _remote(settings.lake.rstrip("/")) as url,
            Repo(str(root), config={"core": core, "remote": {_REMOTE: {"url": url}}}) as repo,
        ):
            yield repo


@contextmanager
def _remote(lake: str) -> Iterator[str]:
    """The address of the remote: behind a link where the lake's has braces, which DVC takes for a text's blanks."""
    if not set("{}") & set(lake):
        yield f"{lake}/snapshots"
        return
    with tempfile.TemporaryDirectory(prefix="nightshift-") as folder:
        link = Path(folder) / "lake"
        Path(lake).mkdir(parents=True, exist_ok=True)
        link.symlink_to(lake)
        yield f"{link}/snapshots"
