"""Checks and their severities: `fail` stops a step before its swap, `warn` is reported.

Functions return checks, and the manifest stores them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

from jobs.core.errors import DataError

Severity = Literal["fail", "warn"]


@dataclass(frozen=True)
class Check:
    """One comparison of `value` with `threshold`; `message` explains the outcome `passed`."""

    name: str
    passed: bool
    value: float
    threshold: float
    severity: Severity = "fail"
    message: str = ""

    def as_row(self) -> dict[str, object]:
        return asdict(self)

    def __str__(self) -> str:
        mark = "ok" if self.passed else self.severity.upper()
        value, threshold = _distinct(self.value, self.threshold)
        return f"{mark} {self.name}: {value} against {threshold} {self.message}".rstrip()


def _distinct(value: float, threshold: float) -> tuple[str, str]:
    """Return both numbers with four significant digits, or as many as make them differ.

    Whole numbers are shown whole.
    """
    for digits in range(4, 18):
        pair = _short(value, digits), _short(threshold, digits)
        if pair[0] != pair[1] or value == threshold:
            break
    return pair


def _short(number: float, digits: int) -> str:
    return f"{number:.0f}" if float(number).is_integer() else f"{number:.{digits}g}"


def equal(name: str, value: float, expected: float, message: str = "") -> Check:
    """Return a check of severity `fail` that passes when `value` is exactly `expected`."""
    return Check(name, value == expected, value, expected, message=message)


def at_least(
    name: str, value: float, floor: float, severity: Severity = "fail", message: str = ""
) -> Check:
    return Check(name, value >= floor, value, floor, severity, message)


def at_most(
    name: str, value: float, ceiling: float, severity: Severity = "fail", message: str = ""
) -> Check:
    return Check(name, value <= ceiling, value, ceiling, severity, message)


def failed(checks: Iterable[Check]) -> list[Check]:
    """Return the checks of severity `fail` that did not pass."""
    return [check for check in checks if check.severity == "fail" and not check.passed]


def enforce(checks: Iterable[Check], remedy: str, input: str = "") -> None:
    """Raise DataError naming every failed check of severity `fail`."""
    if wrong := failed(checks):
        raise DataError("; ".join(map(str, wrong)), remedy=remedy, input=input)
