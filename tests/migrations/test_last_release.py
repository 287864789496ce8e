"""A home that the last release's code created: migrate with `up`, run a night, roll back."""

from __future__ import annotations

import json
import subprocess

import pytest
from last_release import NEXT, NIGHTS, RELEASE, Code, live, unpack

from jobs.core.settings import PROJECT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        subprocess.run(
            ["git", "-C", PROJECT, "cat-file", "-e", RELEASE], capture_output=True
        ).returncode
        != 0,
        reason=(
            f"this clone lacks commit {RELEASE[:7]}: git fetch --unshallow; "
            "the default lane has that release's data"
        ),
    ),
]


def test_a_home_of_the_last_release_runs_the_next_night(tmp_path):
    old = Code(unpack(tmp_path / "tree"), tmp_path / "home")
    new = Code(PROJECT, old.home)
    try:
        live(old)
        old.nightshift("down")
        started = new.nightshift("up", "--stores")
        assert (
            "serving 0002_transaction_currency" in started
            and "redis 0002_transaction_currency" in started
        )
        # What the old release published is served, whole, before the first night of the new one.
        first = new.nightshift("served", "fraud")
        assert f"{NIGHTS[-1]}" in first
        for night in NIGHTS:
            new.nightshift("verify", "--pipeline", "fraud", "--date", str(night))
        new.nightshift("run", "fraud", "--date", str(NEXT))
        assert f"{NEXT}" in new.nightshift("served", "fraud")
        new.nightshift(
            "rollback", "fraud", "--what", "tables", "--reason", "a drill", "--no-dry-run"
        )
        assert f"{NIGHTS[-1]}" in new.nightshift("served", "fraud")
        new.nightshift("verify", "--pipeline", "fraud", "--date", str(NIGHTS[-1]))
        query = (
            "SELECT date, countIf(currency IS NULL) AS unknown FROM fraud.transaction_scores "
            "GROUP BY date"
        )
        rows = new.nightshift("sql", "--format", "json", query)
        unknown = {row["date"]: row["unknown"] for row in map(json.loads, rows.splitlines())}
        assert unknown == {str(day): 0 for day in (*NIGHTS, NEXT)}
        assert "every store has the schema of this release" in new.nightshift("migrate", "--check")
    finally:
        new.nightshift("down", "--purge")
