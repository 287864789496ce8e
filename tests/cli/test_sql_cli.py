"""`nightshift sql`: as a person sees it on a terminal, and as a program reads it from a pipe."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from jobs.cli import entry as cli
from jobs.core.settings import PROJECT
from terminal import on_a_terminal

pytestmark = pytest.mark.process

LONG = "x" * 300
HOSTILE = (
    r"SELECT '[/foo] \x1b[2J' AS text, repeat('x', 300) AS long, 0.1 + 0.2 AS n, NULL AS nothing"
)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("NIGHTSHIFT_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def run():
    cli._mount()
    return lambda *words: CliRunner().invoke(cli.app, ["sql", *words], catch_exceptions=False)


def test_a_table_in_a_pipe_is_not_cut_and_shows_what_is_there(run):
    header, row = run(HOSTILE).stdout.splitlines()
    assert header.split() == ["text", "long", "n", "nothing"]
    assert row.split() == ["[/foo]", r"\x1b[2J", LONG, "0.30000000000000004", "NULL"]


def test_csv_is_the_engines_own_byte_for_byte(run):
    out = run(HOSTILE, "--format", "csv").stdout_bytes.decode()
    assert list(csv.reader(io.StringIO(out))) == [
        ["text", "long", "n", "nothing"],
        ["[/foo] \x1b[2J", LONG, "0.30000000000000004", r"\N"],
    ]


def test_json_is_one_object_per_line(run):
    lines = run(
        "SELECT number AS n, '[/foo]' AS text FROM numbers(2)", "--format", "json"
    ).stdout.splitlines()
    assert [json.loads(line) for line in lines] == [{"n": n, "text": "[/foo]"} for n in range(2)]


def test_without_rows_the_columns_are_shown(run):
    assert run("SELECT number AS n FROM numbers(0)").stdout.split() == ["n"]


def test_on_a_terminal_data_is_no_instruction_and_nothing_is_lost(home):
    for form in ("table", "csv", "json"):
        seen = on_a_terminal(60, "sql", HOSTILE, "--format", form)
        assert "\x1b[2J" not in seen and "/foo] " in seen
        assert seen.count("x") >= 300, f"{form} lost a part of a long text"


def test_a_query_that_writes_ends_with_an_error_and_no_trace(home):
    done = subprocess.run(
        [sys.executable, "-m", "jobs", "sql", "SELECT '\x1b[2J' INTO OUTFILE 'x'"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        env=os.environ,
    )
    assert done.returncode == 65 and "Traceback" not in done.stderr and "\x1b[2J" not in done.stderr
    assert "OUTFILE reads or writes outside ClickHouse" in done.stderr and "Next:" in done.stderr
    assert not (PROJECT / "x").exists()
