"""Training sets under DVC: a registry without git, with its remote in the lake.

DVC identifies a training set by its md5, which no later run can change, and can restore it years
later. The training of the night reads the lake's own file.
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
    """Track `data` as `<pipeline>/<name>`, push it, and return (md5, text of its .dvc file).

    Idempotent.
    """
    with _registry(settings) as repo, tempfile.TemporaryDirectory(dir=settings.home) as folder:
        path, source = Path(repo.root_dir) / pipeline / name, Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        source.write_bytes(data)
        # Directly to the remote: a copy in DVC's own cache would take the space twice.
        repo.add(str(source), out=str(path), to_remote=True, remote=_REMOTE, force=True)
        _sweep(repo.cloud.get_remote_odb(name=_REMOTE))
        pointer = Path(f"{path}.dvc").read_text()
        return str(yaml.safe_load(pointer)["outs"][0]["md5"]), pointer


def restore(settings: Settings, pointer: Path, target: Path) -> str:
    """Restore the file that a .dvc file names from the remote to `target`; return its md5."""
    out = yaml.safe_load(pointer.read_text())["outs"][0]
    with _registry(settings) as repo:
        remote = repo.cloud.get_remote_odb(name=_REMOTE)
        path = remote.oid_to_path(out["md5"])
        if not remote.fs.exists(path):
            raise DataError(
                f"the DVC remote has no object {out['md5']}",
                why="somebody or something deleted the snapshot",
                remedy=f"train again, or restore {remote.path} from a backup",
                input=str(pointer),
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        remote.fs.get_file(path, str(target))
    return str(out["md5"])


def _sweep(remote: Any) -> None:
    """Remove the uploads, each as large as a snapshot, that DVC leaves behind after copying."""
    for path in remote.fs.ls(remote.path, detail=False):
        if path.endswith(".tmp"):
            remote.fs.remove(path)


@contextmanager
def _registry(settings: Settings) -> Iterator[Any]:
    """Open the registry for one process at a time.

    Ours waits, while DVC's own lock would give up.
    """
    from dvc.repo import Repo

    logging.getLogger("dvc").setLevel(logging.ERROR)
    root = settings.home / "registry"
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".nightshift-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (root / ".dvc" / "config").exists():
            Repo.init(str(root), no_scm=True, force=True).close()
        # Locks of killed processes: this process holds the registry alone.
        shutil.rmtree(root / ".dvc" / "tmp", ignore_errors=True)
        core = {"analytics": False, "remote": _REMOTE, "autostage": False}
        # Passed here, since the format of the config file does not allow every path.
        with (
            _remote(settings.lake.rstrip("/")) as url,
            Repo(str(root), config={"core": core, "remote": {_REMOTE: {"url": url}}}) as repo,
        ):
            yield repo


@contextmanager
def _remote(lake: str) -> Iterator[str]:
    """Yield the address of the remote; a link hides braces, which DVC would take for a template."""
    if not set("{}") & set(lake):
        yield f"{lake}/snapshots"
        return
    with tempfile.TemporaryDirectory(prefix="nightshift-") as folder:
        link = Path(folder) / "lake"
        Path(lake).mkdir(parents=True, exist_ok=True)
        link.symlink_to(lake)
        yield f"{link}/snapshots"
