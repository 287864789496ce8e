"""Columns watched for drift, and the outcomes of their checks.

The severity says what a failed check means: `fail` is drift, `warn` is only reported. Neither stops
a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Literal

from jobs.core.checks import Check, Severity
from jobs.core.errors import ConfigError
from jobs.core.params import CheckDriftParams

if TYPE_CHECKING:
    import pandas as pd

Scope = Literal["day", "window", "labelled"]
About = Literal["data", "feature", "prediction", "label", "target"]
Split = Literal["train", "holdout"]
# Both are effect sizes, which do not depend on the number of rows, unlike p-values.
METHODS = {"number": "wasserstein", "category": "jensenshannon"}


@dataclass(frozen=True)
class Watched:
    """A watched column: its type, threshold, severity, scopes, and split of the reference.

    It has drifted when its distance reaches `threshold`. Numbers are compared by the Wasserstein
    distance in standard deviations of the reference, categories by the Jensen-Shannon distance (0
    to 0.83).
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
    """The watched columns of examples and of their predictions, and the label.

    `label` is None if examples have no label that is reported later.
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
        """All watched columns."""
        return (*self.features, *self.predictions, *self.labels)


@dataclass(frozen=True)
class Outcome:
    """One check of `value` against `threshold`, both None if not judged; `rows` were judged."""

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

    def as_row(self) -> dict[str, object]:
        return asdict(self)

    def as_check(self) -> Check:
        """Return the check for the manifest; a value that was not judged is 0."""
        value, threshold = self.value or 0.0, self.threshold or 0.0
        return Check(
            f"{self.scope}.{self.name}", self.passed, value, threshold, self.severity, self.message
        )


@dataclass(frozen=True)
class Pair:
    """A watched column now and in the reference."""

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
        """Return the outcome of the distance, or of a `gate` (a check without a distance)."""
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
    """Return the columns with the thresholds and severities of params.

    ConfigError for unknown names.
    """
    names = [column.name for column in watched]
    if unknown := sorted({*params.thresholds, *params.severities} - {*names}):
        raise ConfigError(
            "check_drift.thresholds and check_drift.severities: "
            f"no column {', '.join(unknown)} is watched",
            remedy=f"use the watched columns in params.yaml: {', '.join(names)}",
        )
    return [
        replace(
            column,
            threshold=params.thresholds.get(column.name, column.threshold),
            severity=params.severities.get(column.name, column.severity),
        )
        for column in watched
    ]
