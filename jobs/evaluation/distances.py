"""Distances between the reference and now by Evidently, and its report."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from jobs.core.text import markup
from jobs.evaluation.drift import finite
from jobs.evaluation.watched import Outcome, Pair


@dataclass(frozen=True)
class Measured:
    """Distances by the key of their pair, and Evidently's report as a page and as data.

    Only the data are the same in every run.
    """

    values: dict[str, float]
    html: bytes
    json: bytes


def measure(pairs: Sequence[Pair]) -> Measured:
    """Return the distance of every pair by its column's method.

    No column may be empty (drift.judgeable).
    """
    os.environ["DO_NOT_TRACK"] = "1"  # read at import: otherwise Evidently sends usage data
    # Column names in Evidently are keys of pairs: one report has all scopes, with separate rows.
    names = {pair.key: markup(pair.key) for pair in pairs}
    now = pd.DataFrame({names[pair.key]: _shown(pair, pair.now) for pair in pairs})
    then = pd.DataFrame({names[pair.key]: _shown(pair, pair.then) for pair in pairs})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # from its own imports, and from numpy about its plots
        from evidently import DataDefinition, Dataset, Report
        from evidently.metrics import ValueDrift

        columns = DataDefinition(
            numerical_columns=[names[pair.key] for pair in pairs if pair.watched.holds == "number"],
            categorical_columns=[
                names[pair.key] for pair in pairs if pair.watched.holds == "category"
            ],
        )
        metrics = [
            ValueDrift(
                column=names[pair.key], method=pair.watched.method, threshold=pair.watched.threshold
            )
            for pair in pairs
        ]
        report = Report(metrics, include_tests=True).run(
            Dataset.from_pandas(now, columns), Dataset.from_pandas(then, columns)
        )
        data = json.loads(report.json(), parse_float=_rounded)
        distances = {row["config"]["column"]: float(row["value"]) for row in data["metrics"]}
        values = {key: distances[name] for key, name in names.items()}
        return Measured(
            values, report.get_html_str(as_iframe=False).encode(), json.dumps(data).encode()
        )


def _shown(pair: Pair, values: pd.Series) -> pd.Series:
    """Return the values escaped for Evidently's page, which puts texts into a script unescaped.

    Different categories stay different, so that no distance changes.
    """
    present = finite(values).reset_index(drop=True)
    return present.map(markup) if pair.watched.holds == "category" else present


def _rounded(text: str) -> float:
    """Round a float: Evidently sums in the order of a set, which changes the last digits."""
    return round(float(text), 9)


def outcome(pair: Pair, value: float) -> Outcome:
    """Return the outcome of a distance against the threshold of its column."""
    return pair.outcome(value, pair.watched.threshold, value < pair.watched.threshold)
