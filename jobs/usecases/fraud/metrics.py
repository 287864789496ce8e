"""How good a fraud model is: by transaction, and by card, as an alert team sees it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, roc_auc_score

CARDS = 100


def roc_auc(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> float:
    """NaN where one class is missing."""
    if not 0 < labels.sum() < len(labels):
        return float("nan")
    return float(roc_auc_score(labels, scores, sample_weight=weights))


def average_precision(
    labels: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None
) -> float:
    """Sum over thresholds of precision times the step in recall; NaN without a positive."""
    if not labels.sum():
        return float("nan")
    return float(average_precision_score(labels, scores, sample_weight=weights))


def card_precision(
    labels: np.ndarray, scores: np.ndarray, days: np.ndarray, customers: np.ndarray, k: int = CARDS
) -> float:
    """Card precision@k, the mean over days (Fraud Detection Handbook, chapter 4.3).

    The cards of a day are ranked by their highest score; precision is the share of the first k
    with a fraud on that day. A detected card does not count again on later days. Ties break by
    customer, so that the same scores always give the same cards.
    """
    rows = pd.DataFrame({"day": days, "customer": customers, "label": labels, "score": scores})
    cards = rows.groupby(["day", "customer"], as_index=False).agg(
        label=("label", "max"), score=("score", "max")
    )
    found: set[object] = set()
    return float(np.mean([_day_precision(day, found, k) for _, day in cards.groupby("day")]))


def _day_precision(cards: pd.DataFrame, found: set[object], k: int) -> float:
    fresh = cards[~cards["customer"].isin(found)]
    top = fresh.sort_values(["score", "customer"], ascending=[False, True]).head(k)
    hits = top.loc[top["label"] == 1, "customer"]
    found.update(hits)
    return len(hits) / k


def calibration(
    labels: np.ndarray, scores: np.ndarray, bins: int = 10
) -> Iterator[tuple[float, float, int]]:
    """(mean score, share of frauds, rows) of each equally populated bin, lowest scores first."""
    for part in np.array_split(np.argsort(scores, kind="stable"), bins):
        if len(part):
            yield float(scores[part].mean()), float(labels[part].mean()), len(part)


def calibration_error(labels: np.ndarray, scores: np.ndarray) -> float:
    """Expected calibration error: mean over rows of |mean score - share of frauds| of their bin."""
    return sum(
        abs(score - share) * rows for score, share, rows in calibration(labels, scores)
    ) / len(labels)


def confusion(labels: np.ndarray, scores: np.ndarray, threshold: float) -> dict[str, float]:
    """Counts at the threshold (score >= threshold is flagged)."""
    flagged, fraud = scores >= threshold, labels == 1
    return {
        "true_positives": float((flagged & fraud).sum()),
        "false_positives": float((flagged & ~fraud).sum()),
        "false_negatives": float((~flagged & fraud).sum()),
        "true_negatives": float((~flagged & ~fraud).sum()),
    }


def summary(
    labels: np.ndarray,
    scores: np.ndarray,
    days: np.ndarray,
    customers: np.ndarray,
    threshold: float,
) -> dict[str, float]:
    """All metrics by name, with precision and recall at the threshold (0 if nothing is flagged)."""
    counts = confusion(labels, scores, threshold)
    hits = counts["true_positives"]
    return {
        "roc_auc": roc_auc(labels, scores),
        "average_precision": average_precision(labels, scores),
        f"card_precision_at_{CARDS}": card_precision(labels, scores, days, customers),
        "precision": hits / max(1.0, hits + counts["false_positives"]),
        "recall": hits / max(1.0, hits + counts["false_negatives"]),
        "calibration_error": calibration_error(labels, scores),
        "rows": float(len(labels)),
        "frauds": float(labels.sum()),
        **counts,
    }
