"""Advisory locks on a real Postgres: one holder at a time, known by name, gone with its process."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from contextlib import closing

import psycopg2
import pytest

from jobs.core import locks
from jobs.core.errors import StoreError

NAME = "fraud/extract/2018-07-10"

# Takes the lock, says so, and holds it until a line comes.
_HOLDER = """
import sys
from jobs.core import locks
with locks.hold(sys.argv[1], sys.argv[2], "fraud/extract 2018-07-10 abc", wait=10):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def hold_elsewhere(serving_db):
    """Starts a process that holds a lock."""
    started = []

    def hold(name: str = NAME) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", _HOLDER, serving_db, name]
        started.append(
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        )
        assert started[-1].stdout.readline() == "held\n"
        return started[-1]

    yield hold
    for process in started:
        process.kill()
        process.communicate()


def execute(dsn: str, query: str, *values: object):
    with closing(psycopg2.connect(dsn)) as session, session, session.cursor() as cursor:
        cursor.execute(query, values)
        return cursor.fetchall()


def test_who_holds_it_is_known_while_it_is_held(serving_db):
    assert locks.holder(serving_db, NAME) is None
    with locks.hold(serving_db, NAME, "the owner", wait=0):
        assert locks.holder(serving_db, NAME).startswith("the owner ")
    assert locks.holder(serving_db, NAME) is None


def test_the_second_waits_until_the_first_lets_go(serving_db):
    order = []

    def second() -> None:
        with locks.hold(serving_db, NAME, "second", wait=30):
            order.append("second")

    with locks.hold(serving_db, NAME, "first", wait=0):
        waiting = threading.Thread(target=second)
        waiting.start()
        time.sleep(0.6)
        order.append("first")
    waiting.join(10)
    assert order == ["first", "second"]


def test_one_at_a_time_among_many(serving_db):
    inside, most, entered = 0, 0, 0

    def work() -> None:
        nonlocal inside, most, entered
        with locks.hold(serving_db, NAME, "worker", wait=60):
            inside, entered = inside + 1, entered + 1
            most = max(most, inside)
            time.sleep(0.02)
            inside -= 1

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (most, entered) == (1, 6)


def test_who_waits_too_long_is_told_who_holds_it(serving_db, hold_elsewhere):
    holder = hold_elsewhere()
    since = time.monotonic()
    with pytest.raises(StoreError) as caught, locks.hold(serving_db, NAME, "waiter", wait=0.5):
        pytest.fail("two hold one lock")
    assert 0.5 <= time.monotonic() - since < 5
    text = str(caught.value)
    assert NAME in text and "fraud/extract 2018-07-10 abc" in text and f":{holder.pid}" in text
    assert "waited 0.5 s" in text and "run the step again" in text


def test_the_limit_is_a_setting(serving_db, hold_elsewhere, monkeypatch):
    hold_elsewhere()
    monkeypatch.setenv("NIGHTSHIFT_LOCK_WAIT", "0.1")
    with pytest.raises(StoreError, match=r"waited 0\.1 s"), locks.hold(serving_db, NAME, "waiter"):
        pass


def test_the_lock_of_a_killed_holder_is_free_at_once(serving_db, hold_elsewhere):
    holder = hold_elsewhere()
    holder.kill()
    holder.wait()
    since = time.monotonic()
    with locks.hold(serving_db, NAME, "next", wait=5) as lock:
        lock.recheck()
    assert time.monotonic() - since < 2


@pytest.mark.parametrize(
    "other", ["fraud/extract/2018-07-11", "fraud/validate/2018-07-10", "fraud", "movies"]
)
def test_another_name_does_not_wait(serving_db, other):
    with (
        locks.hold(serving_db, NAME, "one", wait=0),
        locks.hold(serving_db, other, "two", wait=0) as lock,
    ):
        lock.recheck()
        assert locks.holder(serving_db, NAME).startswith("one ")
        assert locks.holder(serving_db, other).startswith("two ")


def test_names_on_both_sides_of_the_sign_are_found(serving_db):
    """The halves of a key are unsigned in pg_locks and signed in the call."""
    names = [f"fraud/{number}" for number in range(12)]
    signs = {tuple(half >= 1 << 31 for half in locks._halves(name)) for name in names}
    assert len(signs) == 4
    for name in names:
        with locks.hold(serving_db, name, name, wait=0) as lock:
            lock.recheck()
            assert locks.holder(serving_db, name).startswith(f"{name} ")


def test_a_held_lock_passes_its_recheck(serving_db):
    with locks.hold(serving_db, NAME, "owner", wait=0) as lock:
        lock.recheck()
        lock.recheck()


def test_a_lock_whose_session_was_ended_fails_its_recheck(serving_db):
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE %s"
    with locks.hold(serving_db, NAME, "the victim", wait=0) as lock:
        assert execute(serving_db, end, "the victim %") == [(True,)]
        with pytest.raises(StoreError, match=rf"the lock {NAME} ended(.|\n)*run the step again"):
            lock.recheck()
        with locks.hold(serving_db, NAME, "the next", wait=5):
            pass


def test_a_lock_that_was_released_behind_its_back_fails_its_recheck(serving_db):
    with locks.hold(serving_db, NAME, "owner", wait=0) as lock:
        with lock._session.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock_all()")
        with pytest.raises(StoreError, match=rf"{NAME} was lost"):
            lock.recheck()


def test_a_waiter_whose_session_is_ended_is_told(serving_db, hold_elsewhere):
    hold_elsewhere()
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE %s"
    stop = threading.Timer(0.5, lambda: execute(serving_db, end, "the waiter %"))
    stop.start()
    refusal = pytest.raises(StoreError, match=rf"the lock {NAME} ended(.|\n)*run the step again")
    with refusal, locks.hold(serving_db, NAME, "the waiter", wait=30):
        pass
    stop.join()


def test_an_error_under_the_lock_passes_and_frees_it(serving_db):
    with pytest.raises(ZeroDivisionError), locks.hold(serving_db, NAME, "owner", wait=0):
        _ = 1 / 0
    with pytest.raises(psycopg2.Error), locks.hold(serving_db, NAME, "owner", wait=0):
        raise psycopg2.DataError("of the step's own")
    assert locks.holder(serving_db, NAME) is None


def test_the_same_name_in_another_database_is_another_lock(serving_db, source_db):
    with locks.hold(serving_db, NAME, "here", wait=0):
        assert locks.holder(source_db, NAME) is None
        with locks.hold(source_db, NAME, "there", wait=0):
            assert locks.holder(serving_db, NAME).startswith("here ")


def test_other_peoples_advisory_locks_are_not_ours(serving_db):
    """A lock on one 64-bit key shows the same halves in pg_locks as one on two 32-bit keys."""
    upper, lower = locks._halves(NAME)
    key = (upper << 32 | lower) - (1 << 64 if upper >= 1 << 31 else 0)
    with closing(psycopg2.connect(serving_db)) as session, session.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (key,))
        assert locks.holder(serving_db, NAME) is None
        with locks.hold(serving_db, NAME, "owner", wait=0):
            pass


def test_a_server_that_does_not_answer_is_named_with_the_remedy(tmp_path):
    dsn = f"postgresql:///serving?host={tmp_path}"
    refusal = pytest.raises(StoreError, match=r"PostgreSQL does not answer(.|\n)*make up")
    with refusal, locks.hold(dsn, NAME, "owner", wait=0):
        pass
