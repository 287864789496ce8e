"""State of an installation in its home: secrets, ports, addresses, and a lock for up and down."""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import random
import secrets
import shutil
import socket
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from jobs.core.errors import ConfigError

HOST = "127.0.0.1"
# Below the ephemeral ranges, so that no outgoing connection takes a service's port.
_PORTS = range(20000, 32000)


@dataclass(frozen=True)
class State:
    """The files of one home; folders have mode 0700 and files 0600, whatever the umask."""

    home: Path

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def run(self) -> Path:
        return self.home / "run"

    @property
    def endpoints(self) -> Path:
        return self.home / "endpoints.json"

    def prepare(self) -> None:
        """Create the folders of the home, and deny others to write to it, since it holds secrets.

        ConfigError if the home belongs to another user.
        """
        self.folder(".")
        if (owner := self.home.stat().st_uid) != os.geteuid():
            raise ConfigError(
                f"{self.home} belongs to {user_name(owner)}",
                remedy=f"run this as {user_name(owner)}, "
                "or set NIGHTSHIFT_HOME to a folder of your own",
            )
        mode = stat.S_IMODE(self.home.stat().st_mode)
        if mode & stat.S_IWOTH:  # created under an open umask
            self.home.chmod(mode & ~stat.S_IWOTH)
        self.folder("logs")
        self.folder("run")

    def folder(self, name: str) -> Path:
        """Return the folder `name`, created if missing; an existing one keeps its mode."""
        path = self.home / name
        if not path.is_dir():
            path.mkdir(mode=0o700, parents=True)
        return path

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the lock that allows one `up` or `down` of this home at a time; wait for it."""
        with (self.run / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def secret(self, name: str, size: int = 24) -> str:
        """Return the secret `name`, generated once per home: `size` bytes in URL-safe base64."""
        return self._remember("secrets.json", name, secrets.token_urlsafe(size))

    def port(self, name: str) -> int:
        """Return the port of the service `name`, the same at every start."""
        return int(self._remember("ports.json", name, str(free_port())))

    def move(self, name: str) -> None:
        """Give the service `name` another port if its own is taken; the service must be down."""
        if not is_free(self.port(name)):
            write(
                self.home / "ports.json", read(self.home / "ports.json") | {name: str(free_port())}
            )

    def purge(self) -> None:
        """Delete secrets, ports and logs."""
        for name in ("secrets.json", "ports.json", "endpoints.json"):
            (self.home / name).unlink(missing_ok=True)
        shutil.rmtree(self.logs, ignore_errors=True)

    def _remember(self, file: str, name: str, fresh: str) -> str:
        values = read(self.home / file)
        if name not in values:
            values[name] = fresh
            write(self.home / file, values)
        return values[name]


def read(file: Path) -> dict[str, str]:
    """Return the names and values in `file`; {} if it does not exist."""
    try:
        values: dict[str, str] = json.loads(file.read_text())
        return values
    except FileNotFoundError:
        return {}


def write(file: Path, values: dict[str, str]) -> None:
    """Replace `file` atomically, with mode 0600, unless it has the same content already."""
    if file.exists() and read(file) == values:
        return
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    with os.fdopen(handle, "w") as stream:
        json.dump(values, stream, indent=2)
    Path(name).replace(file)


def free_port() -> int:
    """Return a random free port of the loopback interface."""
    return next(port for port in random.sample(_PORTS, len(_PORTS)) if is_free(port))


def is_free(port: int) -> bool:
    """Whether a server could listen on `port` now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def user_name(uid: int) -> str:
    """Return the name of a user, or its id if it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
