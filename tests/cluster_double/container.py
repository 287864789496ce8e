"""A container: one process, all that it starts, and what they write."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from cluster_double.status import nanoseconds

Line = tuple[int, bytes]


class Log:
    """Lines with the nanosecond at which each came, stdout and stderr together."""

    def __init__(self) -> None:
        self._lines: list[Line] = []
        self._changed = threading.Condition()
        self._ended = False

    def write(self, line: bytes) -> None:
        with self._changed:
            self._lines.append((time.time_ns(), line))
            self._changed.notify_all()

    def end(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def text(self) -> str:
        return b"".join(line for _, line in self._lines).decode(errors="replace")

    def tail(self) -> str:
        """The end of it, by the rules of FallbackToLogsOnError: 80 lines, 2048 bytes."""
        return b"".join(line for _, line in self._lines[-80:])[-2048:].decode(errors="replace")

    def read(
        self, since_ns: int, tail: int | None, follow: bool, over: Callable[[], bool]
    ) -> Iterator[Line]:
        """The last `tail` lines since `since_ns`; with `follow`, also new lines until the end."""
        lines = [*self._lines]
        wanted = [line for line in lines if line[0] >= since_ns]
        yield from wanted if tail is None else wanted[max(0, len(wanted) - tail) :]
        read, ended = len(lines), not follow
        while not ended and not over():
            with self._changed:
                if not self._ended and len(self._lines) == read:
                    self._changed.wait(timeout=0.05)
                lines, ended = self._lines[read:], self._ended
            read += len(lines)
            yield from lines


def rendered(line: Line, timestamps: bool) -> bytes:
    return nanoseconds(line[0]).encode() + b" " + line[1] if timestamps else line[1]


class Container:
    """The process of a command, in a session of its own; OSError where it cannot be started."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], cwd: Path, log: Log
    ) -> None:
        self.log = log
        self.process = subprocess.Popen(
            command,
            env=dict(environment),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert self.process.stdout
        self._reader = threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True)
        self._reader.start()

    def wait(self) -> int:
        """The exit code (128 + N for signal N), once all processes ended and all output was read.

        When the first process ends, the others are killed.
        """
        with suppress(ChildProcessError):  # who looks at the process has reaped it
            os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        code = self.process.wait()
        self._reader.join(timeout=5)
        return 128 - code if code < 0 else code

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the first process.

        Inside its namespace, the kernel delivers only SIGKILL and signals that the first process
        handles.
        """
        if number == signal.SIGKILL or self._handles(number):
            self.process.send_signal(number)

    def stop(self, grace_s: float) -> None:
        """SIGTERM, and SIGKILL after the grace period."""
        if self.process.poll() is not None:
            return
        if grace_s > 0:
            self.kill(signal.SIGTERM)
        timer = threading.Timer(grace_s, self.kill)
        timer.daemon = True
        timer.start()

    def _handles(self, number: int) -> bool:
        with suppress(OSError):
            status = Path(f"/proc/{self.process.pid}/status").read_text()
            if caught := re.search(r"^SigCgt:\s*(\w+)$", status, re.MULTILINE):
                return bool(int(caught[1], 16) >> (number - 1) & 1)
        return False

    def _read(self, pipe: IO[bytes]) -> None:
        with pipe:
            for line in iter(pipe.readline, b""):
                self.log.write(line)
