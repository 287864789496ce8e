"""A home of the last release: two published nights of fraud, created by that release's own code."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from datetime import date
from io import BytesIO
from pathlib import Path

import yaml

from jobs.core.settings import PROJECT

RELEASE = "8211ea076dae33fcab71b8cba2f567b31142e225"
FIRST, DAYS, NIGHTS = date(2018, 4, 1), 20, (date(2018, 4, 12), date(2018, 4, 13))
NEXT = date(2018, 4, 14)
HOLE = NIGHTS[0]  # the night with no rows left in the fixture's lake
PARAMS = {
    "fraud": {
        "first_date": str(FIRST),
        "extract": {"volume_window_days": 3},
        "validate": {"max_bad_fraction": 0.05},
        "snapshot": {"train_days": 6, "gap_days": 1, "holdout_days": 3, "label_delay_days": 1},
        "train": {
            "n_estimators": 10,
            "validation_days": 2,
            "early_stopping_rounds": 5,
            "max_depth": 3,
        },
        "gate": {"floors": {"roc_auc": 0.0}, "min_margin": -1.0},
        "predict": {"label_delay_days": 1, "score_days": 3},
        "verify": {"sample": 50},
    }
}


@dataclass(frozen=True)
class Code:
    """A checkout of the project, and the home on which its commands work."""

    tree: Path
    home: Path

    def nightshift(self, *arguments: str) -> str:
        """The output of a command; CalledProcessError, with that output, when it fails."""
        variables = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("NIGHTSHIFT_", "MLFLOW_"))
        }
        variables |= {
            "NIGHTSHIFT_HOME": str(self.home),
            "NIGHTSHIFT_PARAMS": str(self.home / "params.yaml"),
        }
        done = subprocess.run(
            [sys.executable, "-m", "jobs", *arguments],
            cwd=self.tree,
            env=variables | {"PYTHONPATH": str(self.tree)},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        assert done.returncode == 0, (
            f"nightshift {' '.join(arguments)}: {done.returncode}\n{done.stdout}"
        )
        return done.stdout


def unpack(folder: Path) -> Path:
    """The project as it was at RELEASE, out of this repository's history."""
    archive = subprocess.run(
        ["git", "-C", PROJECT, "archive", RELEASE], capture_output=True, check=True
    )
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as tar:
        tar.extractall(folder, filter="data")
    return folder


def live(release: Code) -> None:
    """Start the release's stores, load the simulated days and run its nights."""
    release.home.mkdir(parents=True, exist_ok=True)
    (release.home / "params.yaml").write_text(yaml.safe_dump(PARAMS))
    release.nightshift("up", "--stores")
    release.nightshift(
        "source",
        "simulate",
        "--days",
        str(DAYS),
        "--customers",
        "100",
        "--merchants",
        "150",
        "--seed",
        "1",
        "--label-delay-days",
        "1",
    )
    for night in NIGHTS:
        release.nightshift("run", "fraud", "--date", str(night))
