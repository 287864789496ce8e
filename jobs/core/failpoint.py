"""Named points at which a test can kill the process, as a power cut would."""

from __future__ import annotations

import os
import signal

VARIABLE = "NIGHTSHIFT_FAILPOINT"


def failpoint(name: str) -> None:
    """Kill this process with SIGKILL when `NIGHTSHIFT_FAILPOINT` is `name`.

    Otherwise do nothing.
    """
    if os.environ.get(VARIABLE) == name:
        os.kill(os.getpid(), signal.SIGKILL)
