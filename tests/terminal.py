"""A terminal of a given width for a command: what it receives."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

from jobs.core.settings import PROJECT


def on_a_terminal(columns, *words, environment=None):
    """Output of a successful `nightshift *words` on a terminal of that many columns."""
    controller, terminal = pty.openpty()
    variables = {**os.environ, **(environment or {}), "COLUMNS": str(columns), "TERM": "xterm"}
    with subprocess.Popen(
        [sys.executable, "-m", "jobs", *words],
        cwd=PROJECT,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env=variables,
    ) as process:
        os.close(terminal)
        seen = b"".join(iter(lambda: _read(controller), b""))
    os.close(controller)
    assert process.returncode == 0, seen
    return seen.decode()


def _read(controller):
    try:
        return os.read(controller, 65536)
    except OSError:  # Linux says so when the other end is closed
        return b""
