"""Distances between then and now by Evidently, and its report of them."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from jobs.core.text import markup
from jobs.evaluation.drift import known
from jobs.evaluation.watched import Outcome, Pair


@dataclass(frozen=True)
class Measured:
    """Distances by the key of their pair, and Evidently's report as a page and as data (which repeats; the page does
    not)."""

    values: dict[str, float]
    html: bytes
    json: bytes


def measure(pairs: Sequence[Pair]) -> Measured:
    """The distance of each pair by the method of its column; no values may be missing altogether (drift.judgeable)."""
    os.environ["DO_NOT_TRACK"] = "1"  # read when it is imported: else it reports to its makers
    # Names of columns in Evidently are keys of pairs: one report holds all scopes, each with rows of its own.
    names = {each.key: markup(each.key) for each in pairs}
    now = pd.DataFrame({names[each.key]: _shown(each, each.now) for each in pairs})
    then = pd.DataFrame({names[each.key]: _shown(each, each.then) for each in pairs})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own imports, and of numpy's about its plots
        from evidently import DataDefinition, Dataset, Report
        from evidently.metrics import ValueDrift

        columns = DataDefinition(
            numerical_columns=[names[each.key] for each in pairs if each.watched.holds == "number"],
            categorical_columns=[
                names[each.key] for each in pairs if each.watched.holds == "category"
            ],
        )
        metrics = [
            ValueDrift(
                column=names[each.key], method=each.watched.method, threshold=each.watched.threshold
            )
            for each in pairs
        ]
        told = Report(metrics, include_tests=True).run(
            Dataset.from_pandas(now, columns), Dataset.from_pandas(then, columns)
        )
        data = json.loads(told.json(), parse_float=_rounded)
        distances = {each["config"]["column"]: float(each["value"]) for each in data["metrics"]}
        values = {key: distances[name] for key, name in names.items()}
        return Measured(
            values, told.get_html_str(as_iframe=False).encode(), json.dumps(data).encode()
        )


def _shown(pair: Pair, values: pd.Series) -> pd.Series:
    """The values as they go into Evidently's page, which puts texts into a script as they are.

    Different categories stay different, so that no distance changes.
    """
    present = known(values).reset_index(drop=True)
    return present.map(markup) if pair.watched.holds == "category" else present


def _rounded(text: str) -> float:
    """Evidently sums over the categories in the order of a set, which the last digits of a distance show."""
    return round(float(text), 9)


def outcome(pair: Pair, value: float) -> Outcome:
    """The distance against the threshold of its column."""
    return pair.outcome(value, pair.watched.threshold, value < pair.watched.threshold)
