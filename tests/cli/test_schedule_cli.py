"""A home with its schedule off says so wherever somebody looks."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from jobs.cli import entry as cli
from jobs.core import schedule
from jobs.core.settings import POSTGRES, SOURCE, Settings


@pytest.fixture
def new(tmp_path, serving_db, monkeypatch):
    """A home with a store of its own and nothing in it."""
    monkeypatch.delenv(SOURCE, raising=False)
    monkeypatch.setenv(POSTGRES, serving_db)
    monkeypatch.setenv("NIGHTSHIFT_HOME", str(tmp_path / "home"))
    cli._mount()
    return Settings(tmp_path / "home", tmp_path / "params.yaml")


def said(*words):
    return CliRunner().invoke(cli.app, words, catch_exceptions=False).output


def test_status_says_why_no_night_starts_and_what_switches_it_on(new):
    assert "schedule" not in said("status", "fraud")
    schedule.begin_off(new, schedule.DEMO)
    assert schedule.described(new) in said("status", "fraud")
    said("schedule", "on")
    assert "schedule" not in said("status", "fraud")
