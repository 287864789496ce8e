"""End a step with the process that started it, so that no orphan runs next to a cleared task."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int | None) -> None:
    """Have the kernel kill this process when its parent dies; exit if `parent` is already gone.

    Linux only (prctl PR_SET_PDEATHSIG); elsewhere this does nothing. The signal is SIGKILL: a step
    may be killed at any instant, and native code could delay a softer signal.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent is not None and os.getppid() != parent:
        sys.exit(f"the process {parent} that started this step is gone")


def exit_on_sigterm() -> None:
    """Have SIGTERM end this process; the kernel ignores it for process 1, which a pod's step is."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


@contextmanager
def term_waits() -> Iterator[list[int]]:
    """Collect every SIGTERM in a list while this is open, so that the caller ends at a safe point.

    The previous handler returns afterwards. Python handles signals in the main thread only; in
    another thread nothing changes and the list stays empty.
    """
    signals: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return
    before = signal.signal(signal.SIGTERM, lambda number, _: signals.append(number))
    try:
        yield signals
    finally:
        signal.signal(signal.SIGTERM, before)
