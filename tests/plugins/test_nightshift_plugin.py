"""No process of an Airflow component outlives it."""

from __future__ import annotations

import subprocess
import sys

import pytest
from process_watch import alive, end, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")

# A component as Airflow starts it: notified twice of its start, on a database without tables. Then
# a fork, and a fork of the fork.
COMPONENT = """
import os, time
from airflow.listeners.listener import get_listener_manager
hook = get_listener_manager().hook
class Job: pass
hook.on_starting(component=Job())
hook.on_starting(component=Job())
if os.fork() == 0:
    os.fork()
os.write(1, f"pid {os.getpid()}\\n".encode())
time.sleep(120)
"""


def test_what_a_component_forks_dies_with_it_and_what_that_forks_too(component_environment):
    command = [sys.executable, "-c", COMPONENT]
    with subprocess.Popen(
        command, env=component_environment, stdout=subprocess.PIPE, text=True
    ) as component:
        said = (line for line in component.stdout if line.startswith("pid "))
        pids = [int(next(said).split()[1]) for _ in range(3)]
        forked = [pid for pid in pids if pid != component.pid]
        try:
            assert len(forked) == 2
            assert all(map(alive, forked))
            component.kill()
            component.wait()
            assert wait_until(lambda: not any(map(alive, forked)), seconds=2)
        finally:
            end(pids)
