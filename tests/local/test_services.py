import os
import sys
import time

import psutil
import pytest

from jobs.core.errors import StoreError
from jobs.local.services import Service, start, stop, wait

pytestmark = pytest.mark.process

SLEEP = "import time; time.sleep(600)"
WITH_WORKER = (
    f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {SLEEP!r}]); "
    "time.sleep(600)"
)
STUBBORN = (
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); "
    f"{SLEEP}"
)


@pytest.fixture
def service(tmp_path):
    made = []

    def make(code, ready=lambda: True, **options):
        folder = tmp_path / "folder"
        folder.mkdir(exist_ok=True)
        made.append(
            Service(
                name="sleeper",
                folder=folder,
                command=[sys.executable, "-c", code],
                pidfile=tmp_path / "pid",
                log=tmp_path / "log",
                ready=ready,
                **options,
            )
        )
        return made[-1]

    yield make
    for each in made:
        stop(each)


def until(condition, limit_s=20):
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_started_service_is_alone_in_its_session_and_ends_with_stop(service):
    sleeper = service(SLEEP)
    start(sleeper)
    leader = sleeper.leader
    assert os.getsid(leader.pid) == leader.pid
    stop(sleeper)
    assert sleeper.leader is None and not sleeper.members()
    assert psutil.wait_procs([leader], timeout=5)[1] == []


def test_a_worker_that_outlived_its_parent_is_found_and_ended(service):
    sleeper = service(WITH_WORKER)
    start(sleeper)
    until(lambda: len(sleeper.members()) == 2)
    sleeper.leader.kill()
    until(lambda: sleeper.leader is None)
    assert len(sleeper.members()) == 1
    stop(sleeper)
    assert not sleeper.members()


def test_a_pid_that_went_to_another_process_is_never_signalled(service, tmp_path):
    sleeper = service(SLEEP)
    stranger = psutil.Popen([sys.executable, "-c", SLEEP], cwd=tmp_path)
    try:
        sleeper.pidfile.write_text(str(stranger.pid))
        assert sleeper.leader is None
        stop(sleeper)
        assert stranger.is_running()
    finally:
        stranger.kill()
        stranger.wait()


def test_who_does_not_listen_is_killed(service, tmp_path):
    sleeper = service(STUBBORN)
    start(sleeper)
    until(lambda: "deaf" in sleeper.log.read_text())
    stop(sleeper, patience_s=0.2)
    assert not sleeper.members()


def test_the_error_of_a_service_that_died_shows_its_last_words(service):
    sleeper = service("import sys; sys.exit('no such port')", ready=lambda: False)
    start(sleeper)
    with pytest.raises(StoreError, match="stopped while starting") as error:
        wait(sleeper)
    assert "no such port" in str(error.value) and str(sleeper.log) in str(error.value)


def test_the_wait_has_a_limit(service):
    sleeper = service(SLEEP, ready=lambda: False, patience_s=0.3)
    start(sleeper)
    with pytest.raises(StoreError, match="did not answer within"):
        wait(sleeper)


def test_a_service_whose_environment_has_changed_is_not_current(service):
    sleeper = service(SLEEP, environment={"PORT": "1"})
    start(sleeper)
    assert sleeper.current
    assert not service(SLEEP, environment={"PORT": "2"}).current


def test_it_has_no_input_and_its_output_is_in_the_log(service):
    sleeper = service(f"import sys; print('read', repr(sys.stdin.read()), flush=True); {SLEEP}")
    start(sleeper)
    until(lambda: "read ''" in sleeper.log.read_text())
