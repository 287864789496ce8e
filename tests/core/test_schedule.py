"""The schedule of a home that has no rows of yesterday is off, until somebody switches it on."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from jobs.cli import entry as cli
from jobs.core import schedule
from jobs.core.settings import SOURCE, Settings


@pytest.fixture
def new(tmp_path, monkeypatch):
    monkeypatch.delenv(SOURCE, raising=False)
    monkeypatch.setenv("NIGHTSHIFT_HOME", str(tmp_path / "home"))
    return Settings(tmp_path / "home", tmp_path / "params.yaml")


@pytest.fixture
def command(new):
    cli._mount()
    return lambda *words: (
        CliRunner().invoke(cli.app, ["schedule", *words], catch_exceptions=False).output
    )


def test_a_home_of_an_earlier_release_keeps_its_schedule(new):
    assert schedule.off(new) == "" and "on" in schedule.described(new)


def test_a_new_home_and_a_demo_begin_without_one_and_say_what_switches_it_on(new):
    for why in (schedule.NEW, schedule.DEMO):
        schedule.begin_off(new, why)
        assert schedule.off(new) == why
        assert why in schedule.described(new) and "`nightshift schedule on`" in schedule.described(
            new
        )


def test_an_operational_database_of_ones_own_has_its_nights(new, monkeypatch):
    schedule.begin_off(new, schedule.NEW)
    monkeypatch.setenv(SOURCE, "postgresql://bank/cards")
    assert schedule.off(new) == ""


def test_what_somebody_switched_on_no_demo_switches_off(new, command):
    schedule.begin_off(new, schedule.DEMO)
    assert "off: this home holds the demo's data" in command()
    assert "schedule  on" in command("on")
    schedule.begin_off(new, schedule.DEMO)
    assert "schedule  on" in command()
    assert "off: somebody switched it off" in command("off") and schedule.off(new)
