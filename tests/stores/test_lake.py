"""The lake's contract, over a local folder and over fsspec's memory file system."""

from __future__ import annotations

import random
import subprocess
import sys
import time
import uuid
from datetime import UTC, date, datetime
from pathlib import Path

import fsspec
import pyarrow as pa
import pytest

from jobs.core.digest import table_digest
from jobs.core.errors import DataError
from jobs.core.manifest import Dataset, Manifest, manifest_name
from jobs.stores.lake import Lake

DAY = date(2018, 7, 10)
FOLDER = f"fraud/extract/{DAY}"
KEY = ["id"]
SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("text", pa.string()),
        pa.field("amount", pa.float64()),
        pa.field("at", pa.timestamp("us", "UTC")),
        pa.field("day", pa.date32()),
        pa.field("flag", pa.bool_()),
    ]
)
ROWS = [
    {
        "id": number,
        "text": [None, "", "o'clock", 'say "ü"', "a\nb"][number % 5],
        "amount": [None, float("nan"), -0.5][number % 3],
        "at": datetime(2018, 7, 10, 1, 2, 3, number, tzinfo=UTC),
        "day": DAY,
        "flag": [None, True, False][number % 3],
    }
    for number in range(300)
]
TABLE = pa.Table.from_pylist(ROWS, SCHEMA)


def same(actual: pa.Table, expected: pa.Table) -> bool:
    """Same columns and rows in the same order, NaN being NaN."""
    rows = [repr(table.to_pylist()) for table in (actual, expected)]
    return actual.schema.equals(expected.schema) and rows[0] == rows[1]


@pytest.fixture(params=["folder", "folder [with] odd* name", "memory"])
def root(request, tmp_path) -> str:
    return (
        f"memory://{uuid.uuid4().hex}"
        if request.param == "memory"
        else str(tmp_path / request.param)
    )


@pytest.fixture
def lake(root) -> Lake:
    return Lake(root)


@pytest.fixture
def files(root):
    """Every file under the root, as its path and bytes, seen past the Lake."""
    fs, base = fsspec.core.url_to_fs(root)
    return lambda: {path.removeprefix(f"{base}/"): fs.cat_file(path) for path in fs.find(base)}


def manifest(step: str, day: date, *outputs: Dataset, attempt: str = "a") -> Manifest:
    now = datetime(2018, 7, 11, tzinfo=UTC)
    return Manifest(
        pipeline="fraud",
        step=step,
        date=day,
        attempt=attempt,
        outputs=list(outputs),
        params_digest="p",
        code_version="c",
        started=now,
        ended=now,
    )


def test_a_table_comes_back_as_it_was(lake):
    written = lake.write_table(FOLDER, "transactions", TABLE, KEY)
    assert same(lake.read_table(written), TABLE)
    assert (written.name, written.rows, written.digest) == (
        "transactions",
        300,
        table_digest(TABLE, KEY),
    )


def test_a_file_is_named_by_its_content(lake, files):
    written = lake.write_table(FOLDER, "transactions", TABLE, KEY)
    assert written.path == f"{FOLDER}/transactions-{written.digest[:16]}.parquet"
    assert list(files()) == [written.path]


def test_the_same_rows_give_the_same_bytes(lake, files):
    first = lake.write_table(FOLDER, "transactions", TABLE, KEY)
    before = files()
    shuffled = TABLE.take(random.Random(1).sample(range(300), 300))
    chunked = pa.concat_tables([shuffled.slice(at, 7) for at in range(0, 300, 7)])
    assert lake.write_table(FOLDER, "transactions", chunked, KEY) == first
    assert files() == before


def test_other_rows_go_beside_and_leave_the_first(lake):
    first = lake.write_table(FOLDER, "transactions", TABLE, KEY)
    second = lake.write_table(FOLDER, "transactions", TABLE.slice(1), KEY)
    assert second.path != first.path
    assert lake.read_table(first).num_rows == 300 and lake.read_table(second).num_rows == 299


def test_an_empty_table_keeps_its_columns(lake):
    written = lake.write_table(FOLDER, "transactions", SCHEMA.empty_table(), KEY)
    assert written.rows == 0
    assert lake.read_table(written).schema.equals(SCHEMA)


def test_only_the_columns_asked_for_in_that_order(lake):
    written = lake.write_table(FOLDER, "transactions", TABLE, KEY)
    assert lake.read_table(written, ["text", "id"]).equals(TABLE.select(["text", "id"]))


def test_files_that_no_manifest_names_are_invisible(lake):
    lake.write_table(FOLDER, "transactions", TABLE, KEY)
    assert lake.manifest(f"fraud/extract/{DAY}") is None
    assert lake.days("fraud", "extract") == [] and lake.steps("fraud") == []


def test_a_manifest_makes_them_exist(lake):
    written = lake.write_table(FOLDER, "transactions", TABLE, KEY)
    committed = manifest("extract", DAY, written)
    assert lake.commit(committed) == f"{FOLDER}/manifest.json"
    assert lake.manifest(manifest_name("fraud", "extract", DAY)) == committed
    assert same(lake.read_table(lake.manifest(committed.name).output("transactions")), TABLE)


def test_a_second_manifest_replaces_the_first(lake):
    lake.commit(manifest("extract", DAY, attempt="one"))
    lake.commit(manifest("extract", DAY, attempt="two"))
    assert lake.manifest(manifest_name("fraud", "extract", DAY)).attempt == "two"
    assert lake.days("fraud", "extract") == [DAY]


def test_days_and_steps_are_those_with_a_manifest(lake):
    for step, day in [
        ("validate", "2018-07-10"),
        ("extract", "2018-07-09"),
        ("extract", "2017-12-31"),
    ]:
        lake.commit(manifest(step, date.fromisoformat(day)))
    lake.write_table("fraud/train/2018-07-10", "unnamed", TABLE, KEY)
    lake.commit(manifest("extract", DAY).model_copy(update={"pipeline": "movies"}))
    assert lake.days("fraud", "extract") == [date(2017, 12, 31), date(2018, 7, 9)]
    assert lake.days("fraud", "train") == [] and lake.days("nobody", "extract") == []
    assert lake.steps("fraud") == ["extract", "validate"] and lake.steps("nobody") == []


def test_bytes_are_replaced_whole(lake, files):
    for data in (b"a long first text", b"short", b""):
        lake.write_bytes("fraud/x", data)
        assert lake.read_bytes("fraud/x") == data and lake.exists("fraud/x")
    assert list(files()) == ["fraud/x"]


def test_what_is_not_there_is_named_with_the_remedy(lake):
    assert not lake.exists("fraud/x")
    with pytest.raises(DataError, match=r"fraud/x is not in the lake(.|\n)*run the step that"):
        lake.read_bytes("fraud/x")
    gone = Dataset(name="t", path=f"{FOLDER}/t-0.parquet", rows=1, digest="0")
    for read in (lake.read_table, lake.require_readable):
        with pytest.raises(DataError, match=rf"{FOLDER}/t-0\.parquet(.|\n)*run the step that"):
            read(gone)


# What a step reads itself, and what an engine reads: Spark skips an empty file without a word.
READERS = pytest.mark.parametrize("read", [Lake.read_table, Lake.require_readable])


@READERS
def test_a_file_cut_short_anywhere_is_refused(lake, read):
    written = lake.write_table(FOLDER, "transactions", TABLE, KEY)
    whole = lake.read_bytes(written.path)
    for length in [0, 1, 4, 11, *range(12, len(whole), len(whole) // 40), len(whole) - 1]:
        lake.write_bytes(written.path, whole[:length])
        with pytest.raises(DataError) as caught:
            read(lake, written)
        assert written.path in str(caught.value) and "run the step that" in str(caught.value)


def test_a_file_with_a_flipped_byte_is_never_passed_off_as_whole(lake):
    written = lake.write_table(FOLDER, "transactions", TABLE, KEY)
    whole = lake.read_bytes(written.path)
    footer = int.from_bytes(whole[-8:-4], "little")
    for at in range(0, len(whole) - 8 - footer, 37):
        lake.write_bytes(written.path, whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        try:
            assert table_digest(lake.read_table(written), KEY) == written.digest
        except DataError as error:
            assert written.path in str(error)


@READERS
@pytest.mark.parametrize("rows", [299, 301, 0])
def test_a_file_of_another_length_than_its_manifest_says_is_refused(lake, rows, read):
    written = lake.write_table(FOLDER, "transactions", TABLE, KEY)
    with pytest.raises(DataError) as caught:
        read(lake, written.model_copy(update={"rows": rows}))
    text = str(caught.value)
    assert (
        written.path in text
        and f"300 rows, but its manifest says {rows}" in text
        and "run the step that" in text
    )


@pytest.mark.parametrize("damage", [b"", b'{"pipeline": "fra', b"{}", b"\xff\xfe", b"[]"])
def test_a_damaged_manifest_is_named_with_the_remedy(lake, damage):
    lake.write_bytes(f"{FOLDER}/manifest.json", damage)
    with pytest.raises(DataError, match=rf"{FOLDER}/manifest\.json(.|\n)*run the step that"):
        lake.manifest(manifest_name("fraud", "extract", DAY))


def test_the_address_for_spark(tmp_path):
    assert Lake(str(tmp_path)).uri("fraud/x.parquet") == f"{tmp_path}/fraud/x.parquet"
    assert Lake("memory://lake").uri("fraud/x.parquet") == "memory:///lake/fraud/x.parquet"


# --- A writer killed at any instant leaves the old bytes or the new (its memory dies with it).

# At each line of its input it starts a writer, lets it run for that many seconds, and kills it.
_KILLER = """
import os, signal, sys, time
from jobs.stores.lake import Lake
lake, size = Lake(sys.argv[1]), int(sys.argv[2])
for turn, seconds in enumerate(sys.stdin):
    writer = os.fork()
    while not writer:
        lake.write_bytes("fraud/x", bytes([turn]) * size)
    time.sleep(float(seconds))
    os.kill(writer, signal.SIGKILL)
    os.waitpid(writer, 0)
    print("killed", flush=True)
"""


@pytest.fixture
def killer(tmp_path):
    command = [sys.executable, "-c", _KILLER, str(tmp_path), str(SIZE)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        yield process


SIZE = 3_000_000


@pytest.mark.process
def test_a_killed_writer_leaves_the_old_bytes_or_the_new(tmp_path, killer):
    lake, instants, seen = Lake(str(tmp_path)), random.Random(7), set()
    lake.write_bytes("fraud/x", b"\xff" * SIZE)
    for _ in range(25):
        killer.stdin.write(f"{instants.uniform(0.0, 0.05)}\n")
        assert killer.stdout.readline() == "killed\n"
        data = lake.read_bytes("fraud/x")
        assert len(data) == SIZE and data == data[:1] * SIZE
        seen.add(data[0])
    assert len(seen) > 3, "hardly a writer came to write before it was killed"
    assert list(tmp_path.glob("fraud/.x.*")), "no writer was killed in the middle"


@pytest.mark.process
def test_a_reader_beside_a_writer_sees_whole_bytes_only(tmp_path, killer):
    lake, seen = Lake(str(tmp_path)), set()
    lake.write_bytes("fraud/x", b"\xff" * SIZE)
    killer.stdin.write("0.5\n" * 4)
    until = time.monotonic() + 30
    while len(seen) < 4 and time.monotonic() < until:
        data = lake.read_bytes("fraud/x")
        assert len(data) == SIZE and data == data[:1] * SIZE
        seen.add(data[0])
    assert len(seen) == 4


def test_what_a_killed_writer_left_is_no_part_of_the_lake(tmp_path):
    lake = Lake(str(tmp_path))
    lake.commit(manifest("extract", DAY))
    partial = Path(tmp_path, FOLDER, ".manifest.json.0123abcd")
    partial.write_bytes(b'{"pipeline": "fra')
    assert lake.days("fraud", "extract") == [DAY] and lake.steps("fraud") == ["extract"]
    assert lake.manifest(manifest_name("fraud", "extract", DAY)) is not None
