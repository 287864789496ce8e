"""Checkpoints in the lake: only whole ones of the same training are used."""

from __future__ import annotations

import pytest

from jobs.core import log
from jobs.stores.lake import Lake
from jobs.training import checkpoints


@pytest.fixture(params=["folder", "memory"])
def lake(request, tmp_path):
    return Lake(
        str(tmp_path / "lake") if request.param == "folder" else f"memory://{tmp_path.name}"
    )


@pytest.fixture
def kept(lake):
    checkpoint_list = checkpoints.of(lake, "fraud", ["data"], "params", "cpu")
    for rounds in (90, 100, 1000):
        checkpoint_list.save("fit", rounds, f"after {rounds}".encode())
    return checkpoint_list


def test_the_latest_is_the_one_of_most_rounds_of_its_stage(kept):
    kept.save("trial-1-fold-2-fit", 2000, b"another stage")
    assert kept.latest("fit") == b"after 1000"
    assert kept.latest("trial-1-fold-2-fit") == b"another stage"
    assert kept.latest("refit") is None


@pytest.mark.parametrize(
    "other",
    [(["other data"], "params", "cpu"), (["data"], "other", "cpu"), (["data"], "params", "cuda")],
    ids=["data", "params", "device"],
)
def test_those_of_another_training_are_never_found(lake, kept, other):
    assert checkpoints.of(lake, "fraud", ["data"], "params", "cpu").latest("fit") == b"after 1000"
    assert checkpoints.of(lake, "fraud", *other).latest("fit") is None
    assert checkpoints.of(lake, "movies", ["data"], "params", "cpu").latest("fit") is None


@pytest.mark.parametrize(
    "damaged", [b"", b"after 1", b"something else"], ids=["empty", "cut", "other"]
)
def test_a_damaged_one_is_reported_and_passed_over(lake, kept, damaged, capsys):
    newest = lake.files(kept.folder)[-1]
    lake.write_bytes(f"{kept.folder}/{newest}", damaged)
    log.set_up()
    assert kept.latest("fit") == b"after 100"
    assert "skipped a damaged checkpoint" in capsys.readouterr().err


@pytest.mark.parametrize("lake", ["folder"], indirect=True)
def test_a_half_written_one_is_no_checkpoint(lake, kept, tmp_path):
    folder, newest = tmp_path / "lake" / kept.folder, lake.files(kept.folder)[-1]
    (folder / newest).rename(folder / f".{newest}.0123abcd")
    assert kept.latest("fit") == b"after 100"


def test_one_that_housekeeping_removes_meanwhile_is_passed_over(lake, kept, monkeypatch):
    newest = lake.files(kept.folder)
    lake.remove(f"{kept.folder}/{newest[-1]}")
    monkeypatch.setattr(Lake, "files", lambda *_: newest)
    assert kept.latest("fit") == b"after 100"
