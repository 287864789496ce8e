"""Start, stop and check server processes that outlive the command that started them.

A process belongs to a service if it runs the service's program in the service's folder. The id in a
pidfile may belong to another process by now, but program and folder identify the service. So no
other process is ever signalled, and workers that outlived their parent are stopped too.
"""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

import psutil

from jobs.core.environment import ours
from jobs.core.errors import ConfigError, StoreError
from jobs.core.pg_variables import set_aside

# Settings of another Airflow: ours would migrate that database. Ours is in NIGHTSHIFT_AIRFLOW_DSN.
_OTHER_DATABASE = ("AIRFLOW__DATABASE__SQL_ALCHEMY_", "AIRFLOW__CORE__SQL_ALCHEMY_")


@dataclass(frozen=True)
class Service:
    """One server; `mark` is a word in its command lines.

    `ready` returns whether it answers; it raises StoreError if the service refuses us, since
    waiting would not help.
    """

    name: str
    folder: Path
    command: list[str]
    pidfile: Path
    log: Path
    ready: Callable[[], bool]
    environment: Mapping[str, str] = field(default_factory=dict)
    user: int | None = None  # None: the current user
    mark: str = ""
    stop_signal: signal.Signals = signal.SIGTERM
    patience_s: float = 60

    @property
    def leader(self) -> psutil.Process | None:
        """The process that `start` started; None if it has ended."""
        try:
            process = psutil.Process(int(self.pidfile.read_text().split()[0]))
        except (FileNotFoundError, ValueError, IndexError, psutil.NoSuchProcess):
            return None
        return process if self._owns(process) else None

    @property
    def current(self) -> bool:
        """Whether it runs and was started with the current environment."""
        return self.leader is not None and self.pidfile.read_text().split()[1:] == [
            self._fingerprint()
        ]

    def started(self, pid: int) -> None:
        """Record the process that was started."""
        self.pidfile.write_text(f"{pid} {self._fingerprint()}")

    def members(self) -> list[psutil.Process]:
        """Return every process of this service, including workers and orphans."""
        return [process for process in psutil.process_iter() if self._owns(process)]

    def _fingerprint(self) -> str:
        return hashlib.sha256(
            json.dumps(dict(self.environment), sort_keys=True).encode()
        ).hexdigest()

    def _owns(self, process: psutil.Process) -> bool:
        try:
            return (
                process.cwd() == str(self.folder.resolve())
                and process.exe() == str(Path(self.command[0]).resolve())
                and process.status() != psutil.STATUS_ZOMBIE
            )
        except psutil.AccessDenied:  # another user's process, in a container without SYS_PTRACE
            return self._is_marked(process)
        except psutil.NoSuchProcess:
            return False

    def _is_marked(self, process: psutil.Process) -> bool:
        try:
            return bool(self.mark) and self.mark in " ".join(process.cmdline())
        except psutil.Error:
            return False


def start(service: Service) -> None:
    """Start the server in a new session, with its output in the log and no input."""
    try:
        with service.log.open("ab") as log:
            process = subprocess.Popen(
                service.command,
                cwd=service.folder,
                env={**inherited(), **service.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                umask=0o077,
                **as_user(service.user),
            )
    except OSError as error:
        raise ConfigError(
            f"{service.name} could not be started: {error}", remedy="run `make setup` again"
        ) from error
    service.started(process.pid)


def inherited() -> dict[str, str]:
    """Return this process's environment for a service, without settings of other databases."""
    kept = ours(set_aside(os.environ))
    return {name: value for name, value in kept.items() if not name.startswith(_OTHER_DATABASE)}


class ProcessUser(TypedDict, total=False):
    """Arguments of Popen."""

    user: int
    group: int
    extra_groups: list[int]


def as_user(user: int | None) -> ProcessUser:
    """Return the arguments of Popen that make root run it as `user`; {} for None."""
    if user is None:
        return {}
    return {"user": user, "group": pwd.getpwuid(user).pw_gid, "extra_groups": []}


def wait(service: Service) -> None:
    """Wait until the service answers.

    StoreError if it refuses us, or, with the end of its log, if it died or took too long.
    """
    deadline = time.monotonic() + service.patience_s
    while not service.ready():
        if service.leader is None:
            raise failure(service, "stopped while starting")
        if time.monotonic() > deadline:
            raise failure(service, f"did not answer within {service.patience_s:.0f} s")
        time.sleep(0.1)


def stop(service: Service, patience_s: float = 30) -> None:
    """Stop every process of the service: by its stop signal, then by SIGKILL.

    Wait until none is left.

    A zombie counts as stopped, since a container may have no process that reaps it.
    """
    if leader := service.leader:
        _signal(leader, service.stop_signal)
    deadline = time.monotonic() + patience_s
    while service.leader and time.monotonic() < deadline:
        time.sleep(0.05)
    while left := service.members():
        for process in left:
            _signal(process, signal.SIGKILL)
        time.sleep(0.05)
    service.pidfile.unlink(missing_ok=True)


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def failure(service: Service, what: str) -> StoreError:
    """Return an error with the last lines of the service's log."""
    lines = (
        service.log.read_text(errors="replace").splitlines()[-10:] if service.log.exists() else []
    )
    return StoreError(
        "\n    ".join([f"{service.name} {what}; the end of {service.log}:", *lines]),
        remedy="correct the cause in the log, then run `nightshift up` again; "
        f"its data stays in {service.folder}",
    )
