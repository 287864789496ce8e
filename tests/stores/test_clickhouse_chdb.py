"""Failures that only a folder has: it is open elsewhere, or a killed process left it."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from datetime import date

import pyarrow as pa
import pytest

from declared import columns_of
from jobs.core import settings
from jobs.core.errors import StoreError
from jobs.core.tables import Table
from jobs.stores import clickhouse

pytestmark = pytest.mark.process

DAY = date(2018, 7, 10)
SIZE = 5_000
TABLE = Table(
    name="scores",
    key=("id",),
    grain="one row a day and number",
    columns=columns_of(
        pa.schema(
            [
                pa.field("date", pa.date32(), nullable=False),
                pa.field("id", pa.int64(), nullable=False),
                pa.field("generation", pa.int64(), nullable=False),
            ]
        )
    ),
)

# Opens the folder, says so, and keeps it open until a line comes.
_HOLDER = """
import sys
from jobs.core import settings
from jobs.stores import clickhouse
with clickhouse.connect_clickhouse(settings.load()):
    print("open", flush=True)
    sys.stdin.readline()
"""

# For each line of input it starts a writer that replaces the day over and over, and kills it that
# many seconds after the first time. Only the writer loads chDB, which does not survive a fork.
_KILLER = """
import os, signal, sys, time
import pyarrow
from jobs.core import settings
from jobs.stores import clickhouse
sys.path[:0] = [sys.argv[1], os.path.dirname(sys.argv[1])]  # this file, and tests/
from test_clickhouse_chdb import DAY, TABLE, generation

def write(first):
    with clickhouse.connect_clickhouse(settings.load()) as store:
        for number in range(first, first + 100_000):
            rows = generation(number)
            staging = store.stage("fraud", TABLE, DAY, f"a{number}", rows)
            store.swap("fraud", staging)
            if number == first:
                os.write(warm[1], b"x")

warm = os.pipe()
print("ready", flush=True)
for turn, seconds in enumerate(sys.stdin, 1):
    if not (writer := os.fork()):
        try:
            write(turn * 100_000)
        finally:
            os.write(warm[1], b"failed")
            os._exit(1)
    os.read(warm[0], 1)
    time.sleep(float(seconds))
    os.kill(writer, signal.SIGKILL)
    _, status = os.waitpid(writer, 0)
    print("killed" if os.WIFSIGNALED(status) else "ended", flush=True)
"""


def generation(number: int) -> pa.Table:
    """Rows that all carry `number`; how many there are depends on it too."""
    ids = pa.array(range(SIZE + number % 7))
    column = {
        "date": pa.repeat(pa.scalar(DAY), len(ids)),
        "id": ids,
        "generation": pa.repeat(number, len(ids)),
    }
    return pa.table(column).cast(TABLE.schema)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(settings.CLICKHOUSE, f"chdb:///{tmp_path / 'not yet there' / 'my data'}")


@pytest.fixture
def start():
    """Starts a script in another process and reads its first line."""
    started = []

    def start(script: str, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", script, *arguments]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        started.append(
            subprocess.Popen(command, text=True, bufsize=1, cwd=settings.PROJECT, **pipes)
        )
        assert started[-1].stdout.readline()
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_second_process_waits_until_the_first_closes(start):
    holder = start(_HOLDER)
    release = threading.Timer(1.0, lambda: holder.stdin.write("\n"))
    since = time.monotonic()
    release.start()
    with clickhouse.connect_clickhouse(settings.load(), wait=60) as store:
        waited = time.monotonic() - since
        assert store.client.command("SELECT 1") == 1
    release.join()
    assert waited >= 1.0 and holder.wait(10) == 0


def test_who_waits_too_long_is_told_why(start):
    holder = start(_HOLDER)
    since = time.monotonic()
    with (
        pytest.raises(StoreError) as caught,
        clickhouse.connect_clickhouse(settings.load(), wait=0.5),
    ):
        pass
    assert 0.5 <= time.monotonic() - since < 10
    text = str(caught.value)
    assert (
        f"waited 0.5 s for process {holder.pid}" in text
        and "my data" in text
        and "wait for that process" in text
    )
    assert caught.value.exit_code == 75


def test_a_killed_process_gives_the_folder_back(start):
    start(_HOLDER).kill()
    with clickhouse.connect_clickhouse(settings.load(), wait=10) as store:
        assert store.client.command("SELECT 1") == 1


def test_a_process_killed_in_the_middle_leaves_the_old_day_or_the_new(start, request):
    killer, instants = start(_KILLER, str(request.path.parent)), random.Random(5)
    with clickhouse.connect_clickhouse(settings.load()) as store:
        staging = store.stage("fraud", TABLE, DAY, "first", generation(0))
        store.swap("fraud", staging)
    seen = [0]
    # Six kills, and more until one came after its writer's first swap.
    while len(seen) < 7 or not any(number % 100_000 for number in seen):
        assert len(seen) < 40, "no writer came to swap twice before it was killed"
        killer.stdin.write(f"{instants.uniform(0.0, 0.2)}\n")
        assert killer.stdout.readline() == "killed\n"
        with clickhouse.connect_clickhouse(settings.load(), wait=10) as store:
            stored = store.read_partition("fraud", TABLE, DAY)
        (number,) = stored.column("generation").unique().to_pylist()
        assert stored.equals(generation(number)) and number > seen[-1]
        seen.append(number)
    with clickhouse.connect_clickhouse(settings.load()) as store:
        store.stage("fraud", TABLE, DAY, "dead", generation(2))
    with clickhouse.connect_clickhouse(settings.load()) as store:
        staging = store.stage("fraud", TABLE, DAY, "last", generation(1))
        assert store._tables("fraud", "scores") == ["scores", staging]
        store.swap("fraud", staging)
        assert store.read_partition("fraud", TABLE, DAY).equals(generation(1))


@pytest.mark.parametrize("size", [SIZE, 0], ids=["rows", "an empty day"])
def test_a_swap_cut_between_its_new_rows_and_the_old_is_completed_by_the_next_to_open(size):
    """REPLACE PARTITION names the new part before it covers the old ones.

    This recreates what a kill between the two leaves.
    """
    old, new = generation(1), generation(2).slice(0, size)
    with clickhouse.connect_clickhouse(settings.load()) as store:
        store.swap("fraud", store.stage("fraud", TABLE, DAY, "old", old))
        staging = store.stage("fraud", TABLE, DAY, "new", new)
        ready = staging.replace("__stage_", "__swap_")
        store.client.command(f"RENAME TABLE fraud.{staging} TO fraud.{ready}")
        store.client.command(
            f"ALTER TABLE fraud.scores ATTACH PARTITION '{DAY}' FROM fraud.{ready}"
        )
        assert store.read_partition("fraud", TABLE, DAY).num_rows == old.num_rows + size
    with clickhouse.connect_clickhouse(settings.load()) as store:
        assert store.read_partition("fraud", TABLE, DAY).equals(new)
        assert store._tables("fraud", "scores") == ["scores"]


def test_a_folder_that_cannot_be_one_is_refused_at_once(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv(settings.CLICKHOUSE, f"chdb:///{tmp_path / 'file'}")
    said = r"cannot be opened(.|\n)*NIGHTSHIFT_CLICKHOUSE_DSN"
    with (
        pytest.raises(StoreError, match=said) as caught,
        clickhouse.connect_clickhouse(settings.load(), wait=60),
    ):
        pass
    assert "Stack trace" not in str(caught.value)
