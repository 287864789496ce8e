"""The speed-up by a GPU: XGBoost with fraud's parameters, and EASE of movies, on CPU and GPU.

`python gpu.py [--rows N ...] [--items N ...] [--only cpu]`. The file needs no other part of
Nightshift: only numpy, scipy, XGBoost, and CuPy or PyTorch for EASE on the GPU. Seconds are medians
of REPEATS after a warm-up, and include what a night pays: binning the rows, and copies to the GPU
and back. It exits 1 without a GPU, or if the results of the devices differ by more than the
tolerances below.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import platform
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the steps do, before OpenMP is loaded

import numpy as np
import scipy
import scipy.sparse as sp
import xgboost as xgb
from scipy.linalg import lapack
from scipy.stats import rankdata

REPEATS, WARM_UP = 3, 1_000
FEATURES, ROUNDS = 30, 200
HOLDOUT = 500_000  # rows, at most five times those fitted
PARAMETERS = {  # fraud.train of params.yaml, on all cores
    "max_depth": 6,
    "learning_rate": 0.05,
    "subsample": 0.8,
    "colsample_bytree": 0.4,
    "min_child_weight": 5,
    "reg_lambda": 10,
    "objective": "binary:logistic",
    "eval_metric": "aucpr",
    "tree_method": "hist",
    "seed": 0,
}
REGULARISATION, USERS, EACH = (
    200.0,
    100_000,
    20,
)  # ease_regularisation; users, and movies that each has seen
METRIC_TOLERANCE, WEIGHT_TOLERANCE = 0.002, 1e-5
DRIVER = "libcuda.so.1"
COLUMNS = (
    "what",
    "size",
    "CPU s",
    "GPU s",
    "times",
    "CPU",
    "GPU",
    "difference",
    "allowed",
    "equal",
)


@dataclass(frozen=True)
class Case:
    """A benchmark: `run(device)` returns seconds and a result, `differ` compares two results."""

    name: str
    size: str
    run: Callable[[str], tuple[float, np.ndarray]]
    show: Callable[[np.ndarray], str]
    differ: Callable[[np.ndarray, np.ndarray], float]
    tolerance: float


def main(words: list[str] | None = None) -> None:
    words = sys.argv[1:] if words is None else words
    options = arguments(words)
    if not options.only and (lacking := lack(ease=bool(options.items))):
        sys.exit(f"error: {lacking}. Next: run this where there is one, or with --only cpu")
    devices = ["cpu"] if options.only else ["cpu", "cuda"]
    print("\n".join(f"- {line}" for line in header(words, devices)))
    print(f"\n| {' | '.join(COLUMNS)} |\n|---|{'---:|' * 4}---|---|{'---:|' * 2}---|", flush=True)
    equal = [*compare(boosting, options.rows, devices), *compare(ease, options.items, devices)]
    if not all(equal):
        sys.exit(
            "error: CPU and GPU differ by more than is allowed. Next: see the lines that say NO"
        )


def arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="XGBoost and EASE, on the CPU and on the GPU.")
    parser.add_argument("--rows", type=int, nargs="*", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--items", type=int, nargs="*", default=[5_000, 10_000, 20_000])
    parser.add_argument("--only", choices=["cpu"], help="leave out the GPU")
    return parser.parse_args(words)


def compare(make: Callable[[int], Case], sizes: list[int], devices: list[str]) -> Iterator[bool]:
    """Print a line per size, after a small warm-up; return whether both devices gave the same."""
    for number, size in enumerate([WARM_UP, *sizes] if sizes else []):
        case = make(size)
        runs = [[case.run(device) for device in devices] for _ in range(REPEATS)]
        seconds = [median(run[0] for run in column) for column in zip(*runs, strict=True)]
        results = [result for _, result in runs[-1]]
        if number:
            print(line(case, seconds, results), flush=True)
            yield same(case, results)


def same(case: Case, results: list[np.ndarray]) -> bool:
    return len(results) == 1 or bool(case.differ(*results) <= case.tolerance)


def line(case: Case, seconds: list[float], results: list[np.ndarray]) -> str:
    cells = [case.name, case.size, f"{seconds[0]:.2f}"]
    if len(results) == 1:
        cells += ["", "", case.show(results[0]), "", "", "", ""]
    else:
        cells += [f"{seconds[1]:.2f}", f"{seconds[0] / seconds[1]:.1f}", *map(case.show, results)]
        cells += [
            f"{case.differ(*results):.1e}",
            f"{case.tolerance:.0e}",
            "yes" if same(case, results) else "NO",
        ]
    return f"| {' | '.join(cells)} |"


def boosting(rows: int) -> Case:
    """Trees on `rows` rows, from numpy to the bytes of the model.

    The result is AUC and average precision on other rows.
    """
    values, labels = labelled(rows, seed=0)
    others, truth = labelled(min(HOLDOUT, 5 * rows), seed=1)

    def run(device: str) -> tuple[float, np.ndarray]:
        start = perf_counter()
        booster = xgb.train(
            PARAMETERS | {"device": device}, xgb.DMatrix(values, label=labels), ROUNDS
        )
        booster.save_raw("ubj")
        seconds = perf_counter() - start
        trained_on(booster, device)
        scores = booster.predict(xgb.DMatrix(others))
        return seconds, np.array([auc(truth, scores), average_precision(truth, scores)])

    return Case(
        "XGBoost",
        f"{rows:,} rows",
        run,
        lambda result: "AUC {:.4f}, AP {:.4f}".format(*result),
        lambda cpu, gpu: float(np.abs(cpu - gpu).max()),
        METRIC_TOLERANCE,
    )


def labelled(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return features and labels, a fifth of them positive.

    The devices draw differently, so the labels are clear enough that other draws of the same rows
    change AUC and AP by less than a third of the tolerance.
    """
    chance = np.random.default_rng(seed)
    values = chance.standard_normal((rows, FEATURES), dtype=np.float32)
    a, b, c = values[:, :3].T
    odds = 6 * (a + np.abs(b) + 2 * np.maximum(c, 0) - 3)
    return values, chance.random(rows) < 1 / (1 + np.exp(-odds))


def trained_on(booster: xgb.Booster, device: str) -> None:
    """Exit if XGBoost used the CPU instead of the GPU, about which it only warns."""
    took = json.loads(booster.save_config())["learner"]["generic_param"]["device"]
    if not took.startswith(device):
        sys.exit(f"error: XGBoost used {took} instead of {device}. Next: read its warning above")


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Return the ROC AUC; ties count half."""
    frauds = int(labels.sum())
    above = rankdata(scores)[labels].sum() - frauds * (frauds + 1) / 2
    return float(above / (frauds * (len(labels) - frauds)))


def average_precision(labels: np.ndarray, scores: np.ndarray) -> float:
    """Return the sum over thresholds of precision times the step in recall."""
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(
        np.append(np.diff(scores[order]) != 0, True)
    )  # of those that share a score
    hits = np.cumsum(labels[order])[last]
    return float(np.sum(hits / (last + 1) * np.diff(hits, prepend=0)) / hits[-1])


def ease(items: int) -> Case:
    """EASE from the Gram matrix to the weights (float32), as in jobs/usecases/movies/ease.py."""
    gram = gram_of(items)

    def run(device: str) -> tuple[float, np.ndarray]:
        matrix = gram.copy()  # the CPU's inverse overwrites it
        start = perf_counter()
        result = weights(cholesky_inverse(matrix) if device == "cpu" else gpu_inverse(matrix))
        return perf_counter() - start, result

    return Case(
        "EASE",
        f"{items:,} items",
        run,
        lambda result: f"largest {np.abs(result).max():.4f}",
        lambda cpu, gpu: float(np.abs(cpu - gpu).max() / np.abs(cpu).max()),
        WEIGHT_TOLERANCE,
    )


def weights(precision: np.ndarray) -> np.ndarray:
    scaled = precision / -np.diag(precision)
    np.fill_diagonal(scaled, 0)
    return scaled.astype(np.float32)


def gram_of(items: int) -> np.ndarray:
    """Return the regularised X'X of USERS with EACH items, drawn by a power-law popularity."""
    chance = np.random.default_rng(0)
    appeal = 1 / np.arange(1, items + 1) ** 0.8
    seen = chance.choice(items, USERS * EACH, p=appeal / appeal.sum())
    users = np.repeat(np.arange(USERS), EACH)
    matrix = sp.csr_array((np.ones(len(seen)), (users, seen)), shape=(USERS, items))
    matrix.data = np.sqrt(chance.integers(1, 11, matrix.nnz) / 10)
    gram: np.ndarray = (matrix.T @ matrix).toarray()
    gram[np.diag_indices(items)] += REGULARISATION
    return gram


def cholesky_inverse(matrix: np.ndarray) -> np.ndarray:
    """Invert as jobs/usecases/movies/ease.py: exactly symmetric; overwrites `matrix`."""
    factor, failed = lapack.dpotrf(matrix.T, lower=1, overwrite_a=1)
    inverse, singular = lapack.dpotri(factor, lower=1, overwrite_c=1)
    if failed or singular:
        sys.exit("error: the Gram matrix is not positive definite. Next: raise REGULARISATION")
    lower: np.ndarray = np.tril(inverse)
    lower += np.tril(inverse, -1).T
    return lower


def gpu_inverse(matrix: np.ndarray) -> np.ndarray:
    """Invert as jobs/usecases/movies/ease.py by CuPy, or the same way by PyTorch."""
    library = gpu_library()
    if library.__name__ == "cupy":
        inverse = library.linalg.inv(library.asarray(matrix))
        return np.asarray(((inverse + inverse.T) / 2).get())
    inverse = library.linalg.inv(library.from_numpy(matrix).cuda())
    return np.asarray(((inverse + inverse.T) / 2).cpu().numpy())


@cache
def gpu_library() -> Any:
    """Return CuPy, else PyTorch, if it is installed and can use the GPU; else None."""
    for name in ("cupy", "torch"):
        with suppress(ImportError):
            library = import_module(name)
            if library.cuda.is_available():
                return library
    return None


def lack(ease: bool) -> str:
    """Return what is missing for the GPU's part; "" if nothing is."""
    if not (names := gpus()):
        return "there is no GPU here, or no NVIDIA driver that shows one"
    if not xgb.build_info().get("USE_CUDA"):
        return f"there is {names[0]}, but this XGBoost was built without CUDA"
    if ease and not gpu_library():
        return f"there is {names[0]}, but neither a CuPy nor a PyTorch that reaches it"
    return ""


def gpus() -> list[str]:
    """Return the names of the GPUs that the NVIDIA driver reports."""
    count, name = ctypes.c_int(0), ctypes.create_string_buffer(100)
    try:
        driver = ctypes.CDLL(DRIVER)
    except OSError:
        return []
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return []
    return [
        name.value.decode()
        for number in range(count.value)
        if not driver.cuDeviceGetName(name, len(name), number)
    ]


def header(words: list[str], devices: list[str]) -> Iterator[str]:
    """Yield the facts that are needed to read the table."""
    yield f"`{shlex.join(['python', Path(__file__).name, *words])}`"
    yield (
        f"Python {platform.python_version()}, numpy {np.__version__}, scipy {scipy.__version__}, "
        f"XGBoost {xgb.__version__}"
    )
    yield f"CPU: {processor()}, {len(os.sched_getaffinity(0))} cores, all used"
    if "cuda" in devices:
        library = gpu_library()
        yield f"GPU: {gpus()[0]}" + (
            f", {library.__name__} {library.__version__}" if library else ""
        )
    yield (
        f"medians of {REPEATS}; trees: {FEATURES} features, {ROUNDS} rounds, "
        "AUC and AP on other rows"
    )


def processor() -> str:
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(": ")[2] for line in lines if line.startswith("model name"))
    return platform.machine()


if __name__ == "__main__":
    main()
