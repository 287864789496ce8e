"""A step does not outlive the process that started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jobs.core.process import die_with_parent

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")

CHILD = """
import os, sys, time
from jobs.core.process import die_with_parent
die_with_parent(int(sys.argv[1]))
print(os.getpid(), flush=True)
time.sleep(60)
"""
PARENT = """
import os, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", sys.argv[1], str(os.getpid())])
time.sleep(60)
"""


def alive(pid: int) -> bool:
    """Running, and not merely waiting to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


@pytest.mark.process
def test_the_child_dies_within_a_second_of_its_parents_sigkill():
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, CHILD], stdout=subprocess.PIPE, text=True
    ) as parent:
        child = int(parent.stdout.readline())
        try:
            assert alive(child)
            parent.kill()
            parent.wait()
            deadline = time.monotonic() + 1
            while alive(child) and time.monotonic() < deadline:
                time.sleep(0.01)
            assert not alive(child)
        finally:
            if alive(child):
                os.kill(child, signal.SIGKILL)


@pytest.mark.process
def test_a_child_whose_parent_is_already_gone_ends_at_once():
    gone = subprocess.Popen(["true"])
    gone.wait()
    started = [sys.executable, "-c", CHILD, str(gone.pid)]
    ended = subprocess.run(started, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 1
    assert f"{gone.pid} that started this step is gone" in ended.stderr


@pytest.mark.process
def test_without_a_parent_to_follow_it_goes_on():
    script = "from jobs.core.process import die_with_parent; die_with_parent(None); print('on')"
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30
    )
    assert ended.stdout == "on\n"


def test_elsewhere_it_does_nothing(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    die_with_parent(-1)
