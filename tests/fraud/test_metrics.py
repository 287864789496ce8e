"""Metrics against their definitions, counted out."""

from __future__ import annotations

from fractions import Fraction
from math import isnan

import numpy as np
import pandas as pd
import pytest

from jobs.usecases.fraud import metrics


def case(seed, rows=300, days=4, customers=40, levels=20):
    """Labels, scores with many ties, days and customers."""
    chance = np.random.default_rng(seed)
    labels = (chance.random(rows) < 0.2).astype(np.int8)
    scores = np.round(np.clip(0.3 * labels + 0.7 * chance.random(rows), 0, 1) * levels) / levels
    day = np.datetime64("2024-03-01") + np.sort(chance.integers(0, days, rows))
    return labels, scores, day, np.array([f"c{n}" for n in chance.integers(0, customers, rows)])


SEEDS = pytest.mark.parametrize("seed", range(4))


@SEEDS
def test_roc_auc_is_the_share_of_pairs_in_order(seed):
    labels, scores, *_ = case(seed)
    wins = [
        1.0 if fraud > genuine else 0.5 if fraud == genuine else 0.0
        for fraud in scores[labels == 1]
        for genuine in scores[labels == 0]
    ]
    assert metrics.roc_auc(labels, scores) == pytest.approx(sum(wins) / len(wins), rel=1e-12)


@SEEDS
def test_average_precision_is_precision_over_the_steps_of_recall(seed):
    labels, scores, *_ = case(seed)
    total, before = Fraction(0), 0
    for threshold in sorted(set(scores), reverse=True):
        flagged = scores >= threshold
        hits = int(labels[flagged].sum())
        total += Fraction(hits, int(flagged.sum())) * Fraction(hits - before, int(labels.sum()))
        before = hits
    assert metrics.average_precision(labels, scores) == pytest.approx(float(total), rel=1e-12)


def handbook_card_precision(labels, scores, days, customers, top_k):
    """card_precision_top_k of the Handbook's functions, with remove_detected_compromised_cards."""
    predictions_df = pd.DataFrame(
        {"TX_TIME_DAYS": days, "CUSTOMER_ID": customers, "TX_FRAUD": labels, "predictions": scores}
    )
    list_days = sorted(predictions_df["TX_TIME_DAYS"].unique())
    list_detected_compromised_cards, per_day = [], []
    for day in list_days:
        df_day = predictions_df[predictions_df["TX_TIME_DAYS"] == day]
        df_day = df_day[["predictions", "CUSTOMER_ID", "TX_FRAUD"]]
        df_day = df_day[~df_day.CUSTOMER_ID.isin(list_detected_compromised_cards)]
        df_day = df_day.groupby("CUSTOMER_ID").max().sort_values(by="predictions", ascending=False)
        df_day_top_k = df_day.reset_index(drop=False).head(top_k)
        detected = list(df_day_top_k[df_day_top_k.TX_FRAUD == 1].CUSTOMER_ID)
        per_day.append(len(detected) / top_k)
        list_detected_compromised_cards.extend(detected)
    return np.array(per_day).mean()


@SEEDS
@pytest.mark.parametrize("k", [1, 5, 20, 100])
def test_card_precision_is_the_handbooks(seed, k):
    # Without ties between cards: how they break is the one thing the Handbook leaves open.
    labels, _, days, customers = case(seed)
    scores = np.random.default_rng(seed).permutation(len(labels)) / len(labels)
    expected = handbook_card_precision(labels, scores, days, customers, k)
    assert metrics.card_precision(labels, scores, days, customers, k) == pytest.approx(
        expected, rel=1e-12
    )
    assert 0 < expected < 1


def test_a_card_is_detected_once():
    days = np.array(["2024-03-01", "2024-03-02", "2024-03-02"], dtype="datetime64[D]")
    labels, scores = np.array([1, 1, 1]), np.array([0.9, 0.9, 0.1])
    assert metrics.card_precision(labels, scores, days, np.array(["a", "a", "b"]), k=1) == 1.0
    assert metrics.card_precision(labels, scores, days, np.array(["a", "a", "a"]), k=1) == 0.5


@SEEDS
def test_card_precision_does_not_depend_on_the_order_of_rows(seed):
    rows = case(seed, levels=3)
    order = np.random.default_rng(9).permutation(len(rows[0]))
    shuffled = [column[order] for column in rows]
    assert metrics.card_precision(*rows, k=7) == metrics.card_precision(*shuffled, k=7)


def test_limits():
    labels = np.array([0, 1, 0, 1, 0])
    assert (
        metrics.roc_auc(labels, labels * 0.5)
        == metrics.average_precision(labels, labels * 0.5)
        == 1.0
    )
    assert metrics.roc_auc(labels, 1.0 - labels) == 0.0
    ties = np.full(5, 0.3)
    assert metrics.roc_auc(labels, ties) == 0.5
    assert metrics.average_precision(labels, ties) == pytest.approx(0.4)
    for one_class in (np.zeros(5, dtype=int), np.ones(5, dtype=int)):
        assert isnan(metrics.roc_auc(one_class, ties))
    assert isnan(metrics.average_precision(np.zeros(5, dtype=int), ties))
    assert metrics.average_precision(np.ones(5, dtype=int), ties) == 1.0


@SEEDS
def test_confusion_counts_every_row_once(seed):
    labels, scores, *_ = case(seed)
    counts = dict.fromkeys(
        ("true_positives", "false_positives", "false_negatives", "true_negatives"), 0
    )
    for label, score in zip(labels, scores, strict=True):
        name = "positives" if score >= 0.5 else "negatives"
        counts[f"{'true' if (score >= 0.5) == (label == 1) else 'false'}_{name}"] += 1
    assert 0.5 in scores  # the threshold itself is flagged
    assert metrics.confusion(labels, scores, 0.5) == counts


def test_calibration_bins_are_equally_populated_and_in_order():
    labels, scores, *_ = case(1, rows=103)
    bins = list(metrics.calibration(labels, scores))
    ranked = sorted(range(103), key=lambda row: (scores[row], row))
    sizes = [11, 11, 11, *[10] * 7]
    assert [rows for *_, rows in bins] == sizes
    for (score, share, rows), end in zip(bins, np.cumsum(sizes), strict=True):
        members = ranked[end - rows : end]
        assert score == pytest.approx(sum(scores[row] for row in members) / rows)
        assert share == pytest.approx(sum(labels[row] for row in members) / rows)
    error = sum(abs(score - share) * rows for score, share, rows in bins) / 103
    assert metrics.calibration_error(labels, scores) == pytest.approx(error)


def test_calibration_of_few_rows_and_of_a_perfect_score():
    assert len(list(metrics.calibration(np.array([0, 1]), np.array([0.1, 0.9])))) == 2
    labels = np.array([0, 1] * 20)
    assert metrics.calibration_error(labels, labels.astype(float)) == 0.0
    assert metrics.calibration_error(labels, 1.0 - labels) == 1.0


def test_summary_names_all_of_them():
    labels, scores, days, customers = case(2)
    figures = metrics.summary(labels, scores, days, customers, 0.5)
    counts = metrics.confusion(labels, scores, 0.5)
    flagged = counts["true_positives"] + counts["false_positives"]
    assert figures["precision"] == counts["true_positives"] / flagged
    assert figures["recall"] == counts["true_positives"] / labels.sum()
    assert (figures["rows"], figures["frauds"]) == (300, labels.sum())
    assert figures["card_precision_at_100"] == metrics.card_precision(
        labels, scores, days, customers
    )
    assert counts.items() <= figures.items()
    nothing = metrics.summary(labels, scores * 0, days, customers, 0.5)
    assert (nothing["precision"], nothing["recall"]) == (0.0, 0.0)
