"""A step dies with the process that started it, so that a cleared task never runs beside its own orphan."""

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
    """Have the kernel kill this process when its parent dies; exit at once if `parent` is already gone.

    Linux only (prctl PR_SET_PDEATHSIG); elsewhere it does nothing. The signal is SIGKILL: every step
    is killable at any instant, and a polite signal could be held up in native code.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent is not None and os.getppid() != parent:
        sys.exit(f"the process {parent} that started this step is gone")


def end_when_told() -> None:
    """Have SIGTERM end this process: as the first process of a pod it would not care otherwise."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


@contextmanager
def term_waits() -> Iterator[list[int]]:
    """A SIGTERM that comes meanwhile is put into the list, for whoever is here to act on; then it is as before.

    Python takes signals in the main thread alone: in another one nothing changes.
    """
    told: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield told
        return
    before = signal.signal(signal.SIGTERM, lambda number, _: told.append(number))
    try:
        yield told
    finally:
        signal.signal(signal.SIGTERM, before)
