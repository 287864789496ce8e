"""The cost of checkpoints: training in segments, saved to a lake, against plain `xgboost.train`.

`python -m bench.train [--lake FOLDER] [--rows N]`, with the parameters of params.yaml and the same
DMatrix for all. FOLDER is a lake with a `snapshot` of fraud, of which the latest training set is
used; without it, N rows are generated. Every segment first scores all rows with the existing trees:
a long training without early stopping shows the cost of that. Segments draw rows and features
differently from one long training, so early stopping may end elsewhere: `rounds` counts the trained
ones, and the last ratio is per round. It is in processor seconds, which count all threads and
hardly depend on other work on the machine. Its goal is at most 1.1.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from tempfile import TemporaryDirectory
from time import process_time
from uuid import uuid4

# As the steps do, before OpenMP is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import xgboost as xgb

from bench import fraud_rows
from bench.__main__ import ROUNDS, clock
from bench.fraud_rows import Rows
from jobs.core import params, settings
from jobs.core.markdown_table import markdown_row, markdown_table
from jobs.stores.lake import Lake
from jobs.training import boosting, checkpoints
from jobs.training.boosting import BoostingPlan
from jobs.usecases.fraud.params import FraudTrainParams

LONG, SEGMENTS = 600, (200, 100, 50)
COLUMNS = (
    "training",
    "rounds",
    "seconds",
    "ratio",
    "processor seconds",
    "ratio by round",
    "AUC-PR",
)
Side = Callable[[], xgb.Booster]


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Seconds of training with checkpoints and without."
    )
    parser.add_argument(
        "--lake", metavar="FOLDER", help="take the latest training set of fraud in it"
    )
    parser.add_argument("--rows", type=int, default=100_000, help="to generate without --lake")
    options = parser.parse_args()
    section = params.section(settings.load().params_file, "fraud", "train", FraudTrainParams)
    name, table = (
        fraud_rows.stored(options.lake)
        if options.lake
        else ("generated", fraud_rows.generated(options.rows))
    )
    rows = fraud_rows.rows(table, section)
    print(
        f"{name}: {rows.fit.num_row():,} rows x {rows.fit.num_col()} features, "
        f"{section.threads} threads\n"
    )
    print(*markdown_table(COLUMNS, (), COLUMNS[1:]), sep="\n")
    patient = BoostingPlan(
        section.n_estimators, section.checkpoint_rounds, section.early_stopping_rounds
    )
    with TemporaryDirectory(prefix="nightshift-bench-") as folder:
        segments = sorted({section.checkpoint_rounds, *SEGMENTS}, reverse=True)
        compare(rows, patient, segments, Lake(folder))
        compare(rows, BoostingPlan(LONG, LONG), segments, Lake(folder))


def compare(rows: Rows, plan: BoostingPlan, segments: list[int], lake: Lake) -> None:
    """Run all alternately, ROUNDS times after a short warm-up, and print the medians."""
    bare(rows, BoostingPlan(1, 1))  # sorts the values of the matrix into bins, once for all
    sides: dict[str, Side] = {f"bare, {ends(plan)}": partial(bare, rows, plan)}
    for segment in segments:
        name = f"checkpoints every {segment}, {ends(plan)}"
        sides[name] = partial(segmented, rows, replace(plan, segment=segment), lake)
    boosters: dict[str, xgb.Booster] = {}

    def run(name: str) -> tuple[float, float]:
        before = process_time()
        return clock(lambda: boosters.update({name: sides[name]()})), process_time() - before

    rounds = [[run(name) for name in sides] for _ in range(ROUNDS)]
    report(rows, plan, boosters, np.median(rounds, axis=0))


def bare(rows: Rows, plan: BoostingPlan) -> xgb.Booster:
    """Train as a user would write it."""
    stopping = plan.patience and xgb.callback.EarlyStopping(rounds=plan.patience, save_best=True)
    return xgb.train(
        rows.native,
        rows.fit,
        plan.rounds,
        verbose_eval=False,
        evals=[(rows.late, "validation")] if stopping else (),
        callbacks=[stopping] if stopping else None,
    )


def segmented(rows: Rows, plan: BoostingPlan, lake: Lake) -> xgb.Booster:
    """Train as the step does, with a new key, so that no checkpoint exists."""
    kept = checkpoints.of(lake, "fraud", uuid4().hex)
    late = rows.late if plan.patience else None
    return boosting.train(rows.native, rows.fit, plan, evaluation=late, checkpoints=kept)


def report(
    rows: Rows, plan: BoostingPlan, boosters: dict[str, xgb.Booster], seconds: np.ndarray
) -> None:
    """Print a line per training; the first is the baseline.

    `seconds` are of the clock and of all cores.
    """
    trained = [
        min(booster.num_boosted_rounds() + (plan.patience or 0), plan.rounds)
        for booster in boosters.values()
    ]
    for (name, booster), count, each in zip(boosters.items(), trained, seconds, strict=True):
        ratio, other = each / seconds[0]
        cells = (
            f"{each[0]:.1f}",
            f"{ratio:.2f}",
            f"{each[1]:.1f}",
            f"{other * trained[0] / count:.2f}",
            f"{rows.precision(booster):.4f}",
        )
        print(markdown_row((name, count, *cells)), flush=True)


def ends(plan: BoostingPlan) -> str:
    return "until it stops" if plan.patience else f"{plan.rounds} rounds"


if __name__ == "__main__":
    main()
