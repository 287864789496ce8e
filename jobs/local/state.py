"""What an installation keeps under its home: secrets, ports, addresses, and one lock for up and down."""

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
_PORTS = range(
    20000, 32000
)  # below the ephemeral ranges, so that no outgoing connection takes a kept port


@dataclass(frozen=True)
class State:
    """The files of one home. Folders have mode 0700 and files 0600, whatever the umask."""

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
        """Make the folders of the home, and let nobody else write to it: secrets lie there, and settings.

        Raises ConfigError when the home is another user's.
        """
        self.folder(".")
        if (owner := self.home.stat().st_uid) != os.geteuid():
            raise ConfigError(
                f"{self.home} belongs to {user_name(owner)}",
                remedy=f"run this as {user_name(owner)}, or set NIGHTSHIFT_HOME to a folder of your own",
            )
        mode = stat.S_IMODE(self.home.stat().st_mode)
        if mode & stat.S_IWOTH:  # made under an open umask
            self.home.chmod(mode & ~stat.S_IWOTH)
        self.folder("logs")
        self.folder("run")

    def folder(self, name: str) -> Path:
        """The folder called `name`, made where it is missing. What is there keeps its mode."""
        path = self.home / name
        if not path.is_dir():
            path.mkdir(mode=0o700, parents=True)
        return path

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Alone among the ups and downs of this home; waits for the others."""
        with (self.run / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def secret(self, name: str, size: int = 24) -> str:
        """The secret called `name`, `size` random bytes in base64 for URLs, generated once per home."""
        return self._remember("secrets.json", name, secrets.token_urlsafe(size))

    def port(self, name: str) -> int:
        """The port that `name` listens on, the same from one start to the next."""
        return int(self._remember("ports.json", name, str(free_port())))

    def move(self, name: str) -> None:
        """Give `name` another port if the one it had is taken. Call it only while the service is down."""
        if not is_free(self.port(name)):
            write(
                self.home / "ports.json", read(self.home / "ports.json") | {name: str(free_port())}
            )

    def purge(self) -> None:
        """Forget secrets, ports and logs."""
        for name in ("secrets.json", "ports.json", "endpoints.json"):
            (self.home / name).unlink(missing_ok=True)
        shutil.rmtree(self.logs, ignore_errors=True)

    def _remember(self, file: str, name: str, fresh: str) -> str:
        known = read(self.home / file)
        if name not in known:
            known[name] = fresh
            write(self.home / file, known)
        return known[name]


def read(file: Path) -> dict[str, str]:
    """The names and values in `file`; none when it does not exist."""
    try:
        found: dict[str, str] = json.loads(file.read_text())
        return found
    except FileNotFoundError:
        return {}


def write(file: Path, values: dict[str, str]) -> None:
    """Replace `file` atomically, mode 0600; a file that says the same already is left alone."""
    if file.exists() and read(file) == values:
        return
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    with os.fdopen(handle, "w") as stream:
        json.dump(values, stream, indent=2)
    Path(name).replace(file)


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
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
    """The name of a user, or the number where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
