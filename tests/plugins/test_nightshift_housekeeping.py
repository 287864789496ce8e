"""Housekeeping as a task: who asked for it decides whether anything is removed."""

from __future__ import annotations

import importlib
import json
from datetime import date
from types import SimpleNamespace

import pytest

from jobs.stores.lake import Lake

DAY = date(2018, 7, 10)


@pytest.fixture
def housekeeping(airflow_variables):
    return importlib.import_module("nightshift.housekeeping")


def context(run_type, **params):
    return {
        "dag_run": SimpleNamespace(run_type=run_type),
        "params": {"pipeline": "all", "dry_run": True, **params},
    }


@pytest.mark.parametrize(
    ("run_type", "dry_run", "option"),
    [
        ("scheduled", True, "--no-dry-run"),
        ("scheduled", False, "--no-dry-run"),
        ("manual", True, "--dry-run"),
        ("manual", False, "--no-dry-run"),
        ("backfill", True, "--dry-run"),
    ],
)
def test_the_schedule_removes_and_by_hand_the_form_decides(housekeeping, run_type, dry_run, option):
    task = housekeeping.housekeeping_task("fraud")
    assert task.options(context(run_type, dry_run=dry_run)) == (option,)


def test_a_pipeline_that_was_not_asked_for_is_skipped(housekeeping):
    with pytest.raises(housekeeping.AirflowSkipException, match="fraud only"):
        housekeeping.housekeeping_task("movies").execute(context("manual", pipeline="fraud"))


def test_its_process_takes_the_option_and_a_dry_run_leaves_no_manifest(
    housekeeping, services, tmp_path, monkeypatch
):
    monkeypatch.setenv("NIGHTSHIFT_HOME", str(tmp_path))
    receipt, lake = tmp_path / "receipt.json", Lake(str(tmp_path / "lake"))
    for option, left in (("--dry-run", False), ("--no-dry-run", True)):
        housekeeping.housekeeping_task("fraud")._run(DAY, receipt, option)
        assert json.loads(receipt.read_text())["step"] == "fraud/housekeeping"
        assert (lake.manifest(f"fraud/housekeeping/{DAY}") is not None) is left
