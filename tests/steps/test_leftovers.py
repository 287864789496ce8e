"""What goes and what stays, decided from listings, manifests and the time."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from jobs.core.manifest import Dataset, Manifest
from jobs.steps import leftovers
from jobs.stores.lake import File, Lake

NOW = datetime(2018, 7, 20, 5, 30, tzinfo=UTC)
DAY, WEEK = timedelta(days=1), timedelta(days=7)
FOLDER = "fraud/extract/2018-07-10"
NAMED, ORPHAN = f"{FOLDER}/transactions-aa.parquet", f"{FOLDER}/transactions-bb.parquet"


def files(ages, known=frozenset()):
    """The names that go, of files by path and age."""
    aged = [File(path, 1, NOW - age) for path, age in sorted(ages.items())]
    return [each.name for each in leftovers.files(aged, set(known), NOW, DAY)]


def manifest(**fields):
    required = {
        "pipeline": "fraud",
        "step": "extract",
        "date": date(2018, 7, 10),
        "attempt": "a",
        "params_digest": "p",
        "code_version": "c",
        "started": NOW,
        "ended": NOW,
    }
    return Manifest(**(required | fields))


def test_a_file_that_no_manifest_names_goes_when_it_is_old_enough():
    assert files({ORPHAN: DAY, NAMED: WEEK, f"{FOLDER}/manifest.json": WEEK}, {NAMED}) == [ORPHAN]
    assert files({ORPHAN: DAY - timedelta(seconds=1), f"{FOLDER}/manifest.json": WEEK}) == []


def test_it_stays_while_the_manifest_beside_it_is_young():
    """A reader may have begun with the manifest before, which named it."""
    assert files({ORPHAN: WEEK, f"{FOLDER}/manifest.json": timedelta(hours=1)}) == []


def test_it_goes_where_nothing_was_ever_committed():
    assert files({ORPHAN: WEEK}) == [ORPHAN]


@pytest.mark.parametrize(
    "path",
    [
        "fraud/models/0a1b",
        "fraud/models/0a1b/x",
        "fraud/other/2018-7-1/x",
        f"{FOLDER}/manifest.json",
        "fraud/checkpoints/0a1b/boost-000050-0a.ubj",
    ],
)
def test_other_files_are_nobodys_business(path):
    assert files({path: WEEK}) == []


@pytest.mark.parametrize(
    "folder", [FOLDER, f"{FOLDER}/attempt", "fraud/models", "fraud/checkpoints/0a1b"]
)
def test_a_half_written_file_goes_wherever_it_is(folder):
    assert files({f"{folder}/.manifest.json.0123abcd": DAY}) == [
        f"{folder}/.manifest.json.0123abcd"
    ]
    assert files({f"{folder}/.manifest.json.0123abcd": DAY / 2}) == []


def test_the_lake_leaves_what_is_taken_for_half_written(tmp_path, monkeypatch):
    def cut(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", cut)
    lake = Lake(str(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        lake.write_bytes(NAMED, b"bytes")
    [file] = lake.listing("fraud")
    assert file.half_written and file.size == 5
    assert datetime.now(UTC) - file.modified < timedelta(minutes=1)
    lake.remove(file.path)
    lake.remove(file.path)
    assert lake.listing("fraud") == lake.listing("nothing") == []


def test_an_object_store_lists_and_removes_alike():
    lake = Lake("memory://leftovers")
    lake.write_bytes(ORPHAN, b"bytes")
    [file] = lake.listing("fraud")
    assert (file.path, file.size, file.half_written) == (ORPHAN, 5, False)
    assert datetime.now(UTC) - file.modified < timedelta(minutes=1)
    lake.remove(ORPHAN)
    lake.remove(ORPHAN)
    assert lake.listing("fraud") == []


def test_a_folder_that_cannot_be_read_is_not_taken_for_empty(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(path)

    (tmp_path / "fraud").mkdir()
    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(PermissionError):
        Lake(str(tmp_path)).listing("fraud")


def test_outputs_inputs_and_facts_name_files():
    said = manifest(
        inputs=[Dataset(name="a", path="in", rows=1, digest="d")],
        outputs=[Dataset(name="a", path="out", rows=1, digest="d")],
        facts={"reports": [{"page": "drift"}]},
    )
    assert {"in", "out", "drift"} <= leftovers.named([said])


def test_checkpoints_go_together_when_even_the_newest_is_old():
    ages = {
        "a/boost-000050-0a.ubj": 9 * DAY,
        "a/boost-000100-0a.ubj": WEEK,
        "b/boost-000050-0a.ubj": 9 * DAY,
        "b/boost-000100-0a.ubj": WEEK - timedelta(seconds=1),
        "b/.boost-000150-0a.ubj.0123abcd": 9 * DAY,
    }
    aged = [File(f"fraud/checkpoints/{name}", 7, NOW - age) for name, age in ages.items()]
    [gone] = leftovers.checkpoints([*aged, File(ORPHAN, 7, NOW - 99 * DAY)], NOW, WEEK)
    assert (gone.name, gone.since, gone.size) == ("fraud/checkpoints/a", NOW - WEEK, 14)


def test_staging_tables_go_when_their_attempt_must_be_dead():
    made = {
        "t__stage_20180710_a": NOW - DAY,
        "t__swap_20180710_b": NOW - DAY + timedelta(seconds=1),
    }
    assert [each.name for each in leftovers.staging_tables(made, NOW, DAY)] == [
        "t__stage_20180710_a"
    ]


def test_the_report_says_how_much_there_is_beyond_what_it_shows(monkeypatch):
    monkeypatch.setattr(leftovers, "SHOWN", 2)
    left = leftovers.files(
        [File(f"{ORPHAN}{n}", 1000, NOW - WEEK) for n in range(5)], set(), NOW, DAY
    )
    first, head, row, _, more = leftovers.report("would remove", left, NOW).splitlines()
    assert first == "would remove: 5, in the lake 5,000 bytes" and more.strip() == "and 3 more"
    assert head.split() == ["what", "name", "age", "bytes", "why"]
    assert row.split() == [
        "file",
        f"{ORPHAN}0",
        "168",
        "h",
        "1,000",
        "no",
        "manifest",
        "names",
        "it",
    ]


def test_nothing_is_one_line():
    assert leftovers.report("would remove", [], NOW) == "would remove: 0, in the lake 0 bytes"
