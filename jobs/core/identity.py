"""Run identity: a step runs for one pipeline and one date D, a UTC day, and works on [D, D+1)."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

from jobs.core.errors import ConfigError


@dataclass(frozen=True)
class Run:
    """One attempt at one step of a pipeline and date; `attempt` identifies the attempt."""

    pipeline: str
    step: str
    date: date
    attempt: str = field(default_factory=lambda: uuid.uuid4().hex[:12])

    def __str__(self) -> str:
        return f"{self.pipeline}/{self.step} {self.date}"

    @property
    def window(self) -> tuple[datetime, datetime]:
        """Return [start, end) of the day, in UTC."""
        return datetime.combine(self.date, time(), UTC), end_of(self.date)


def end_of(day: date) -> datetime:
    """Return the instant at which the day ends, in UTC."""
    return datetime.combine(day, time(), UTC) + timedelta(days=1)


def whole(day: date) -> date:
    """Return `day`; ConfigError before it has ended, since the rest of it would never be read."""
    today = datetime.now(UTC).date()
    if day >= today:
        raise ConfigError(
            f"{day} is not over yet",
            remedy=f"choose a day up to {today - timedelta(days=1)}; a day ends at 00:00 UTC",
        )
    return day


def days(first: date, last: date) -> Iterator[date]:
    """Yield every day from `first` to `last`, both included; none when `last` is before `first`."""
    for offset in range((last - first).days + 1):
        yield first + timedelta(days=offset)


def ranges(dates: Iterable[date], limit: int = 10) -> str:
    """Return the days as text: `2018-05-04, 2018-05-06..2018-07-01 (57 days)`.

    Ranges after the first `limit` are only counted.
    """
    spans: list[list[date]] = []
    for day in sorted(set(dates)):
        if spans and day - spans[-1][-1] == timedelta(days=1):
            spans[-1].append(day)
        else:
            spans.append([day])
    shown = [
        f"{span[0]}..{span[-1]} ({len(span)} days)" if len(span) > 1 else f"{span[0]}"
        for span in spans
    ]
    rest = sum(map(len, spans[limit:]))
    return ", ".join(shown[:limit]) + (f" and {rest:,} more days" if rest else "")


def before(day: date, count: int) -> list[date]:
    """Return the `count` whole days [D-count, D), oldest first."""
    return list(days(day - timedelta(days=count), day - timedelta(days=1)))
