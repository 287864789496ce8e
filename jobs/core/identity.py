"""Run identity: a step runs for one pipeline and one date D, a UTC day, and works on [D, D+1)."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta


@dataclass(frozen=True)
class Run:
    """One attempt at one step; `attempt` tells apart two attempts at the same pipeline, step and date."""

    pipeline: str
    step: str
    date: date
    attempt: str = field(default_factory=lambda: uuid.uuid4().hex[:12])

    def __str__(self) -> str:
        return f"{self.pipeline}/{self.step} {self.date}"

    @property
    def window(self) -> tuple[datetime, datetime]:
        """[start, end) of the day, in UTC."""
        start = datetime.combine(self.date, time(), UTC)
        return start, start + timedelta(days=1)


def days(first: date, last: date) -> Iterator[date]:
    """Every day from `first` to `last`, both included; none when `last` is before `first`."""
    for offset in range((last - first).days + 1):
        yield first + timedelta(days=offset)


def before(day: date, count: int) -> list[date]:
    """The `count` whole days [D-count, D), oldest first."""
    return list(days(day - timedelta(days=count), day - timedelta(days=1)))
