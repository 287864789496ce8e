"""How values are written in files, beyond their types."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from jobs.core.errors import ConfigError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class TimeUnit(StrEnum):
    """The unit of a number that is a time."""

    ns = "ns"
    us = "us"
    ms = "ms"
    s = "s"
    min = "min"
    h = "h"
    d = "d"


NANOSECONDS = {
    TimeUnit.ns: 1,
    TimeUnit.us: 10**3,
    TimeUnit.ms: 10**6,
    TimeUnit.s: 10**9,
    TimeUnit.min: 60 * 10**9,
    TimeUnit.h: 3600 * 10**9,
    TimeUnit.d: 86_400 * 10**9,
}


@dataclass(frozen=True)
class Dialect:
    """How values are written; ConfigError for an option that makes no sense.

    `nulls` are texts that mean a missing value; `integer_ids` reads the id 596.0 as 596. The
    characters `strip` are removed from numbers, and `decimal` is their decimal point. `time_format`
    describes times (strptime); times without a zone are in `timezone`. With `epoch` or `unit`, a
    number in a column of times counts units since the epoch (default: seconds since 1970).
    """

    timezone: str = "UTC"
    nulls: tuple[str, ...] = ()
    integer_ids: bool = False
    strip: str = ""
    decimal: str = "."
    time_format: str | None = None
    unit: TimeUnit | None = None
    epoch: datetime | None = None

    def __post_init__(self) -> None:
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ConfigError(
                f"there is no time zone {self.timezone!r}",
                remedy="use a name like UTC or Europe/Berlin",
            ) from None
        if self.decimal not in (".", ","):
            raise ConfigError(
                f"--decimal {self.decimal!r} is not a decimal point", remedy="use . or ,"
            )
        if wrong := sorted(set(self.strip) & {*"0123456789+-", self.decimal}):
            raise ConfigError(
                f"--strip {self.strip!r} would change numbers: it contains {' '.join(wrong)}",
                remedy="pass only characters that are no part of a number, for example --strip '$'",
            )
        _check_format(self.time_format)

    @property
    def counts(self) -> bool:
        """Whether numbers are times in every column of times."""
        return self.unit is not None or self.epoch is not None

    @property
    def start(self) -> datetime:
        """The time of the number 0."""
        if self.epoch is None:
            return EPOCH
        zoned = (
            self.epoch if self.epoch.tzinfo else self.epoch.replace(tzinfo=ZoneInfo(self.timezone))
        )
        return zoned.astimezone(UTC)


def _check_format(text: str | None) -> None:
    if text is None:
        return
    try:
        datetime.strptime(EPOCH.strftime(text), text)
        good = "%" in text
    except ValueError:
        good = False
    if not good:
        raise ConfigError(
            f"--time-format {text!r} describes no time",
            remedy="use a format of strptime, for example --time-format '%d/%m/%Y %H:%M'",
        )
