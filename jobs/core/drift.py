"""Drift: what is watched, and every check of it that needs no distance: schema, nulls, infinities, constants, unseen
categories.

Severity says what a failed check means: `fail` is drift, `warn` is worth a look. Neither stops anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from jobs.core.checks import Check, Severity
from jobs.core.errors import ConfigError
from jobs.core.params import CheckDriftParams

Scope = Literal["day", "window", "labelled"]
About = Literal["data", "feature", "prediction", "label", "target"]
Split = Literal["train", "holdout"]
# Both are effect sizes: distances that do not grow with the number of rows, as p-values shrink with it.
METHODS = {"number": "wasserstein", "category": "jensenshannon"}


@dataclass(frozen=True)
class Watched:
    """A column: what it holds, the distance from which it has drifted, what that means, in which scopes it is judged,
    and which split of the reference it is held against.

    Numbers are compared by the Wasserstein distance in standard deviations of the reference, categories by the
    Jensen-Shannon distance (0 to 0.83).
    """

    name: str
    holds: Literal["number", "category"]
    threshold: float
    severity: Severity = "warn"
    scopes: tuple[Scope, ...] = ("day", "window")
    against: Split = "train"

    @property
    def method(self) -> str:
        return METHODS[self.holds]


@dataclass(frozen=True)
class Outcome:
    """One check: `value` against `threshold`, both None where nothing could be judged; `rows` are those judged."""

    scope: Scope
    kind: About
    name: str
    method: str
    value: float | None
    threshold: float | None
    severity: Severity
    passed: bool
    rows: int
    reference_rows: int
    message: str = ""

    @property
    def title(self) -> str:
        return f"{self.scope} {self.name}"

    def as_row(self) -> dict[str, Any]:
        return asdict(self)

    def as_check(self) -> Check:
        """For the manifest; what was not judged counts as 0."""
        value, threshold = self.value or 0.0, self.threshold or 0.0
        return Check(f"{self.scope}.{self.name}", self.passed, value, threshold, self.severity, self.message)


@dataclass(frozen=True)
class Pair:
    """A watched column as it is now, and in the reference."""

    scope: Scope
    kind: About
    watched: Watched
    now: pd.Series
    then: pd.Series

    @property
    def key(self) -> str:
        return f"{self.scope} {self.watched.name}"

    def outcome(
        self, value: float | None, threshold: float | None, passed: bool, message: str = "", gate: str = ""
    ) -> Outcome:
        """Of the distance, or of a gate beside it."""
        name = f"{self.watched.name}.{gate}" if gate else self.watched.name
        return Outcome(
            self.scope, "data" if gate else self.kind, name, gate or self.watched.method, value, threshold,
            self.watched.severity, passed, len(self.now), len(self.then), message,
        )  # fmt: skip


def configured(watched: Sequence[Watched], params: CheckDriftParams) -> list[Watched]:
    """The columns with the thresholds and severities of params in place of their own; ConfigError for an unknown name."""
    names = [each.name for each in watched]
    if unknown := sorted({*params.thresholds, *params.severities} - {*names}):
        raise ConfigError(
            f"check_drift watches no {', '.join(unknown)}",
            remedy=f"mend thresholds and severities in params.yaml; columns: {', '.join(names)}",
        )
    return [
        replace(
            each,
            threshold=params.thresholds.get(each.name, each.threshold),
            severity=params.severities.get(each.name, each.severity),
        )
        for each in watched
    ]


def pair(
    scope: Scope, kind: About, watched: Watched, now: pa.Table, then: pa.Table
) -> tuple[Pair | None, list[Outcome]]:
    """The column in both tables; where it cannot be compared, what is wrong instead."""
    there = [watched.name in table.column_names for table in (now, then)]
    reason = {
        (False, False): "it is in neither",
        (False, True): "the feature vanished",
        (True, False): "new since the champion was trained",
    }.get((there[0], there[1]))
    if reason is None:
        types = [table.schema.field(watched.name).type for table in (now, then)]
        wrong = [str(each) for each in types if not _holds(each, watched.holds)]
        reason = f"no {watched.holds} any more but {wrong[0]}" if wrong else None
    if reason is None:
        series = [_series(table[watched.name], watched.holds) for table in (now, then)]
        return Pair(scope, kind, watched, series[0], series[1]), []
    # What is new, or gone from both, is a change of the code: the next champion will know it.
    severity = watched.severity if there[1] else "warn"
    return None, [
        Outcome(
            scope, "data", f"{watched.name}.schema", "schema", None, None, severity, False, len(now), len(then), reason
        )
    ]  # fmt: skip


def gates(pair: Pair, params: CheckDriftParams) -> Iterator[Outcome]:
    """Nulls, infinities, constants and unseen categories, each a check of its own."""
    if not len(pair.now):
        return
    growth = float(pair.now.isna().mean() - (pair.then.isna().mean() if len(pair.then) else 0.0))
    message = "every value is null" if pair.now.isna().all() else ""
    if pair.kind == "feature":  # a label or a prediction may be of some rows alone
        limit = params.max_null_growth
        yield pair.outcome(growth, limit, growth <= limit and not (message and growth), message, "null_growth")
    if pair.watched.holds == "number":
        infinite = int(np.isinf(pair.now).sum())
        yield pair.outcome(infinite, 0, not infinite, "left out of the distance", "infinite")
    now, then = known(pair.now), known(pair.then)
    if len(now) >= params.min_rows and len(then):
        constant = now.nunique() == 1 < then.nunique()
        message = f"always {now.iloc[0]}" if constant else ""
        yield pair.outcome(float(constant), 0, not constant, message, "constant")
    if pair.watched.holds == "category" and len(now) and len(then):
        yield _unseen(pair, now, then, params.max_unseen_share)


def judgeable(pair: Pair, min_rows: int) -> Outcome | None:
    """None where there are rows enough for a distance; else the outcome that says so, and passes."""
    for what, series in (("rows", pair.now), ("rows of the reference", pair.then)):
        if (count := len(known(series))) < min_rows:
            return pair.outcome(
                None, pair.watched.threshold, True, f"not judged: {count} {what}, {min_rows} needed"
            )
    return None


def known(series: pd.Series) -> pd.Series:
    """The values that are neither null nor infinite."""
    return series[series.notna() & ~series.isin([np.inf, -np.inf])]


def _unseen(pair: Pair, now: pd.Series, then: pd.Series, limit: float) -> Outcome:
    strange = ~now.isin(then.unique())
    share = float(strange.mean())
    names = ", ".join(now[strange].value_counts().index[:5])
    return pair.outcome(share, limit, share <= limit, f"not in the reference: {names}" if names else "", "unseen")


def _holds(kind: pa.DataType, holds: str) -> bool:
    if pa.types.is_null(kind):
        return True
    if holds == "category":
        return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind))
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind) or pa.types.is_decimal(kind)
    )  # fmt: skip


def _series(column: pa.ChunkedArray, holds: str) -> pd.Series:
    if holds == "category":
        return column.cast(pa.string()).to_pandas().astype(object)
    whole = column.cast(pa.int8()) if pa.types.is_boolean(column.type) else column
    return pc.cast(whole, pa.float64(), safe=False).to_pandas().astype(float)
