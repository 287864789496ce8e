"""What is watched for drift, and what becomes of it.

Severity says what a failed check means: `fail` is drift, `warn` is worth a look. Neither stops anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import pandas as pd

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
class Watchlist:
    """The watched columns of examples, of the predictions for them, and the label.

    `label` is None where examples have no label that is reported later.
    """

    features: tuple[Watched, ...]
    predictions: tuple[Watched, ...]
    label: Watched | None

    @property
    def labels(self) -> tuple[Watched, ...]:
        """The label, if there is one."""
        return (self.label,) if self.label else ()

    @property
    def columns(self) -> tuple[Watched, ...]:
        """All of them."""
        return (*self.features, *self.predictions, *self.labels)


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
        return Check(
            f"{self.scope}.{self.name}", self.passed, value, threshold, self.severity, self.message
        )


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
        self,
        value: float | None,
        threshold: float | None,
        passed: bool,
        message: str = "",
        gate: str = "",
    ) -> Outcome:
        """Of the distance, or of a gate beside it."""
        name = f"{self.watched.name}.{gate}" if gate else self.watched.name
        return Outcome(
            self.scope,
            "data" if gate else self.kind,
            name,
            gate or self.watched.method,
            value,
            threshold,
            self.watched.severity,
            passed,
            len(self.now),
            len(self.then),
            message,
        )


def configured(watched: Sequence[Watched], params: CheckDriftParams) -> list[Watched]:
    """The columns with the thresholds and severities of params in place of their own; ConfigError for an unknown name."""
    names = [each.name for each in watched]
    if unknown := sorted({*params.thresholds, *params.severities} - {*names}):
        raise ConfigError(
            f"check_drift.thresholds and check_drift.severities: no column {', '.join(unknown)} is watched; columns:"
            f" {', '.join(names)}",
            remedy="mend them in params.yaml",
        )
    return [
        replace(
            each,
            threshold=params.thresholds.get(each.name, each.threshold),
            severity=params.severities.get(each.name, each.severity),
        )
        for each in watched
    ]
