"""A full disk: an error with the path, no manifest, nothing lost; a failed log stops nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.core import settings
from jobs.core.errors import StoreError
from jobs.source.batch import Rejected
from jobs.source.rejects import Rejects
from nights import DAY

EXTRACT = ["-m", "jobs", "extract", "--pipeline", "fraud", "--date", str(DAY)]


def run(place, command, **streams):
    return subprocess.run(
        command,
        cwd=settings.PROJECT,
        env=os.environ | place.environment,
        text=True,
        check=False,
        timeout=300,
        **streams,
    )


@pytest.mark.slow
def test_a_full_lake_is_said_and_leaves_what_was_there(at):
    """A limit on file size fails a write as a full disk does, and needs no disk of its own."""
    place = at("validate")
    before, files = place.lake_digests(), {file.path for file in place.lake.listing("")}
    limited = ["bash", "-c", 'ulimit -f 1 && exec "$@"', "bash", sys.executable, *EXTRACT]
    ended = run(place, limited, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert ended.returncode == StoreError.exit_code, ended.stdout
    lines = ended.stdout[ended.stdout.index("error: ") :].splitlines()
    assert lines[0] == f"error: fraud/extract {DAY}: the step cannot write: the disk is full"
    assert lines[1].startswith(f"  Input: {place.home}/lake/fraud/extract/{DAY}/")
    assert "File too large" in lines[2] and "free space" in lines[3]
    assert (
        place.lake_digests() == before and {file.path for file in place.lake.listing("")} == files
    )
    place.run("extract")
    assert place.lake_digests() == before


@pytest.mark.process
def test_a_write_that_fails_leaves_no_bytes_and_names_the_file(tmp_path):
    script = (
        "import resource, sys; from jobs.core.failures import explain; "
        "from jobs.stores.lake import Lake\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))\n"
        "try: Lake(sys.argv[1]).write_bytes('a/b/x.parquet', bytes(5000))\n"
        "except OSError as error: print(explain(error))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, tmp_path],
        capture_output=True,
        text=True,
        check=True,
        cwd=settings.PROJECT,
    )
    assert f"the disk is full\n  Input: {tmp_path}/a/b/x.parquet" in ended.stdout
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.process
def test_a_log_on_a_full_disk_changes_no_exit_code(tmp_path):
    nowhere = {
        "NIGHTSHIFT_HOME": str(tmp_path),
        settings.POSTGRES: "postgresql://night:x@127.0.0.1:1/x",
    }
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, *EXTRACT],
            cwd=settings.PROJECT,
            env=os.environ | nowhere,
            stdout=full,
            stderr=full,
            check=False,
        )
    assert ended.returncode == StoreError.exit_code


@pytest.mark.slow
def test_a_log_on_a_full_disk_stops_no_step(at):
    place = at("validate")
    with Path("/dev/full").open("w") as full:
        assert run(place, [sys.executable, *EXTRACT], stdout=full, stderr=full).returncode == 0


def test_rejects_that_cannot_be_written_name_their_file(tmp_path, monkeypatch):
    path = tmp_path / "rejects.csv"
    path.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as full, Rejects(path) as rejects:
        monkeypatch.setattr(rejects, "_file", path.open("w"))
        rejects.add(tmp_path / "x.csv", [Rejected(1, "wrong", "x")])
    assert full.value.filename == str(path)
