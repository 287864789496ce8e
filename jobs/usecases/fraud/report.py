"""The files that training writes for people: pictures of curves and counts, importance, names."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
from sklearn.metrics import ConfusionMatrixDisplay, PrecisionRecallDisplay, RocCurveDisplay

from jobs.usecases.fraud import metrics
from jobs.usecases.fraud.evaluation import JudgedScores
from jobs.usecases.fraud.model import FraudModel, importance

matplotlib.use("Agg")  # no display on a server
from matplotlib import pyplot as plt
from matplotlib.axes import Axes


def write(model: FraudModel, judged: JudgedScores, folder: Path) -> None:
    """Write the pictures and files of one model, judged on its holdout, into `folder`."""
    truth, scores = judged.labels, judged.scores
    gains = importance(model)
    (folder / "importance.json").write_text(json.dumps(gains, indent=1))
    (folder / "feature_names.json").write_text(json.dumps(model.features, indent=1))
    drawings: dict[str, Callable[[Axes], object]] = {
        "confusion_matrix": lambda ax: ConfusionMatrixDisplay.from_predictions(
            truth, scores >= model.threshold, ax=ax, colorbar=False
        ),
        "roc_curve": lambda ax: RocCurveDisplay.from_predictions(truth, scores, ax=ax),
        "precision_recall_curve": lambda ax: PrecisionRecallDisplay.from_predictions(
            truth, scores, ax=ax
        ),
        "calibration_curve": lambda ax: _calibration(truth, scores, ax),
        "importance": lambda ax: _importance(gains, ax),
    }
    for name, draw in drawings.items():
        _picture(draw, folder / f"{name}.png", name.replace("_", " "))


def _calibration(truth: np.ndarray, scores: np.ndarray, axes: Axes) -> None:
    points = list(metrics.calibration(truth, scores))
    top = max(0.01, max(max(score, share) for score, share, _ in points))
    axes.plot([0, top], [0, top], linestyle=":", label="perfect")
    axes.plot(
        [score for score, _, _ in points],
        [share for _, share, _ in points],
        marker="o",
        label="model",
    )
    axes.set(xlabel="mean score of the bin", ylabel="share of frauds")
    axes.legend()


def _importance(gains: dict[str, float], axes: Axes) -> None:
    names = list(gains)[:20][::-1]
    axes.barh(names, [gains[name] for name in names])
    axes.set(xlabel="total gain")


def _picture(draw: Callable[[Axes], object], path: Path, title: str) -> None:
    figure, axes = plt.subplots(figsize=(6, 5), layout="constrained")
    draw(axes)
    axes.set_title(title)
    figure.savefig(path, dpi=90)
    plt.close(figure)
