"""What checkpoints cost: training in segments, each kept in a lake folder, beside bare `xgboost.train`, in turn.

`python -m bench.train [--lake FOLDER] [--rows N]`, with the parameters of params.yaml and the same DMatrix for both
sides. FOLDER is a lake in which `snapshot` of fraud has been done: its latest training set is taken; without one, N
generated rows of fraud's features. A segment starts by re-scoring all rows with the trees before it: the long
training, without early stopping, shows what that costs. Segments draw rows and features otherwise than one long
training does, so early stopping ends elsewhere: seconds are also set against the rounds trained. The goal is 1.1.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the steps do, before OpenMP comes with a library

import numpy as np
import pyarrow as pa
import xgboost as xgb

from bench.__main__ import ROUNDS, clock
from jobs.core import boosting, params, settings
from jobs.core.boosting import Plan
from jobs.fraud import metrics, model
from jobs.fraud.columns import CATEGORIES, FEATURES
from jobs.fraud.params import TrainParams
from jobs.steps import train as step
from jobs.stores import checkpoints
from jobs.stores.lake import Lake

LONG, SEGMENTS = 600, (50, 100, 200)
TRAIN_DAYS, HOLDOUT_DAYS, FIRST = 28, 7, date(2018, 4, 1)
COLUMNS = ("training", "rounds", "seconds", "ratio", "s / 100 rounds", "ratio", "AUC-PR")
Side = tuple[str, Callable[[], xgb.Booster]]


@dataclass(frozen=True)
class Rows:
    """What both sides train on, stop by and are judged on."""

    native: dict[str, Any]
    fit: xgb.DMatrix
    late: xgb.DMatrix
    holdout: xgb.DMatrix

    def precision(self, booster: xgb.Booster) -> float:
        return metrics.average_precision(self.holdout.get_label(), booster.predict(self.holdout))


def main() -> None:
    parser = argparse.ArgumentParser(description="Seconds of training with checkpoints and without.")
    parser.add_argument("--lake", metavar="FOLDER", help="take the latest training set of fraud in it")
    parser.add_argument("--rows", type=int, default=300_000, help="to generate without --lake")
    given = parser.parse_args()
    chosen = params.section(settings.load().params_file, "fraud", "train", TrainParams)
    name, table = stored(given.lake) if given.lake else (f"generated, {given.rows:,} rows", generated(given.rows))
    rows = matrices(table, chosen)
    print(f"{name}: {rows.fit.num_row():,} rows x {rows.fit.num_col()} features, {chosen.threads} threads")
    print(f"| {' | '.join(COLUMNS)} |\n|---|{'---:|' * (len(COLUMNS) - 1)}")
    patient = Plan(chosen.n_estimators, chosen.checkpoint_rounds, chosen.early_stopping_rounds)
    with TemporaryDirectory(prefix="nightshift-bench-") as folder:
        compare("until it stops", rows, patient, [chosen.checkpoint_rounds], Lake(folder))
        compare(f"{LONG} rounds", rows, Plan(LONG, LONG), SEGMENTS, Lake(folder))


def compare(what: str, rows: Rows, plan: Plan, segments: list[int], lake: Lake) -> None:
    """Run bare and each length of segment in turn, ROUNDS times, and print the medians."""
    sides = [(f"{what}, bare", lambda: bare(rows, plan)), *segmented(what, rows, plan, segments, lake)]
    ...


if __name__ == "__main__":
    main()
