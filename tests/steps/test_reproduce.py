"""DVC runs the same commands to the same model, and restores a model's training set."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from jobs.cli import manage
from jobs.core import settings
from jobs.core.digest import table_digest
from jobs.core.pipelines import PIPELINES
from nights import DAY, PARAMS


def checkout(folder: Path) -> Path:
    """What DVC needs of the project, with the night's parameters as params.yaml."""
    folder.mkdir()
    for name in (".dvc", "jobs"):
        shutil.copytree(
            settings.PROJECT / name,
            folder / name,
            ignore=shutil.ignore_patterns("tmp", "cache", "__pycache__"),
        )
    for name in ("dvc.yaml", ".dvcignore"):
        shutil.copy(settings.PROJECT / name, folder)
    # DVC takes no YAML dates.
    sections = json.loads(json.dumps({"reproduce": {"fraud": DAY}, "fraud": PARAMS}, default=str))
    (folder / "params.yaml").write_text(yaml.safe_dump(sections))
    # Outside git, as where only the files were copied to.
    config = folder / ".dvc" / "config"
    config.write_text(config.read_text().replace("[core]", "[core]\n    no_scm = true"))
    return folder


def repro(folder: Path, environment: dict[str, str], target: str) -> str:
    bins = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "repro", target],
        cwd=folder,
        text=True,
        capture_output=True,
        env=os.environ
        | environment
        | {"PATH": bins, "NIGHTSHIFT_PARAMS": str(folder / "params.yaml")},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.process
def test_git_does_not_hide_what_dvc_writes(tmp_path):
    """DVC refuses to work where its lock file is ignored."""
    for name in (".gitignore", "dvc.yaml", "params.yaml"):
        shutil.copy(settings.PROJECT / name, tmp_path)
    dvc = [sys.executable, "-m", "dvc"]
    for command in (["git", "init", "-q"], [*dvc, "init", "-q"], [*dvc, "stage", "list"]):
        done = subprocess.run(command, cwd=tmp_path, text=True, capture_output=True)
        assert done.returncode == 0, done.stderr
    assert "train@fraud" in done.stdout


def test_every_night_step_is_a_stage_with_its_own_section():
    stages = yaml.safe_load((settings.PROJECT / "dvc.yaml").read_text())["stages"]
    from jobs.core.steps import NIGHTLY

    assert list(stages) == list(NIGHTLY)
    sections = yaml.safe_load((settings.PROJECT / "params.yaml").read_text())["fraud"]
    for step, stage in stages.items():
        assert f"python -m jobs {step} --pipeline" in stage["do"]["cmd"]
        assert ("${key}." + step in stage["do"]["params"]) == (step in sections)
        assert f"jobs/steps/{step}.py" in stage["do"]["deps"]


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_every_file_that_a_stage_depends_on_exists(pipeline):
    stages = yaml.safe_load((settings.PROJECT / "dvc.yaml").read_text())["stages"]
    named = {dep.replace("${key}", pipeline) for s in stages.values() for dep in s["do"]["deps"]}
    code = {path for path in named if not path.startswith("build/")}
    assert len(code) > len(stages)
    assert [path for path in sorted(code) if not (settings.PROJECT / path).exists()] == []


@pytest.mark.slow  # five processes, three of them with Spark: a minute and a half
def test_dvc_repro_and_the_night_give_the_same_model(at, tmp_path):
    place = at("extract")
    folder = checkout(tmp_path / "checkout")
    repro(folder, place.environment, "train@fraud")
    receipt = json.loads((folder / "build/receipts/fraud/train.json").read_text())
    assert receipt["model_digest"] == at("end").manifest("train").model_digest
    assert "up to date" in repro(folder, place.environment, "train@fraud")


def test_restore_brings_back_the_training_set(at, tmp_path):
    place = at("end")
    train, snapshot = place.manifest("train"), place.manifest("snapshot")
    with place.settings():
        manage.restore("fraud", str(train.facts["model_version"]), tmp_path / "back.parquet")
    table = pq.read_table(tmp_path / "back.parquet")
    assert table_digest(table, ("transaction_id",)) == snapshot.output("training_set").digest
