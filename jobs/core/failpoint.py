"""Named points at which a test can have the process die, as by a power cut."""

from __future__ import annotations

import os
import signal

VARIABLE = "NIGHTSHIFT_FAILPOINT"


def failpoint(name: str) -> None:
    """Die here by SIGKILL when `NIGHTSHIFT_FAILPOINT` is `name`; otherwise do nothing."""
    if os.environ.get(VARIABLE) == name:
        os.kill(os.getpid(), signal.SIGKILL)
