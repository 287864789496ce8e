"""Convert times in the formats of files to UTC microseconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from jobs.source.converted import Converted, Mask, as_text, floats, mask
from jobs.source.dialect import NANOSECONDS, Dialect, TimeUnit

TIME = pa.timestamp("us", "UTC")
_FIRST, _LAST = -62_135_596_800, 253_402_300_799  # seconds: the years 1 to 9999
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_DAY = pd.Timedelta(days=1)

_DATE = r"^\d{4}-\d{2}-\d{2}"
_ZONE = r"(Z|[+-]\d{2}(:?\d{2})?)$"
_NUMBER = r"^[+-]?\d+(\.\d*)?([eE][+-]?\d{1,3})?$"
_DIGITS = r"^[+-]?\d{1,19}(\.0*)?$"
_HOURS = re.compile(r"%[-HIcXsfp]")


def instants(values: pa.Array, dialect: Dialect, *, numbers: bool, day_ends: bool) -> Converted:
    """Convert times in text or in Arrow's types; without a zone they are in the dialect's zone.

    With `numbers`, plain digits count the dialect's units since its epoch. With `day_ends`, a date
    without a clock time is the last microsecond of that day, else its first.
    """
    if pa.types.is_temporal(values.type):
        return _from_times(values, dialect.timezone, day_ends=day_ends)
    text = as_text(values)
    if not numbers:
        return _from_text(text, dialect, day_ends=day_ends)
    counted = mask(pc.match_substring_regex(text, _NUMBER))
    from_numbers = _from_numbers(text, counted, dialect)
    other = _from_text(pc.if_else(pa.array(counted), None, text), dialect, day_ends=day_ends)
    values = pc.if_else(pa.array(counted), from_numbers.values, other.values)
    return Converted(values, from_numbers.problems | other.problems)


def _from_times(values: pa.Array, zone: str, *, day_ends: bool) -> Converted:
    if pa.types.is_date(values.type):
        days = values.cast(pa.date32()).cast(pa.int32()).cast(pa.int64())
        far, micros = _micros(days, 1, 86_400_000_000)
        begins = micros.cast(pa.timestamp("us")).to_pandas()
        local = _localize(begins, zone)
        return _instants(
            _day_ends(begins, zone) if day_ends else local, _problems(begins, local, zone) | far
        )
    far, micros = _micros(values.cast(pa.int64()), _PER_SECOND[values.type.unit], 10**6)
    if values.type.tz:
        return Converted(micros.cast(TIME), far)
    naive = micros.cast(pa.timestamp("us")).to_pandas()
    local = _localize(naive, zone)
    return _instants(local, _problems(naive, local, zone) | far)


def _micros(counts: pa.Array, per: int, times: int) -> tuple[dict[str, Mask], pa.Array]:
    """Return `counts` × `times` / `per` as integers.

    Null and a problem outside the years 1 to 9999.
    """
    bounds = np.array([_FIRST, _LAST + 1]) * (per / times * 10**6)
    low, high = np.clip(bounds, -(2.0**63), 2.0**63 - 1024).astype(np.int64).tolist()
    near = pc.and_(pc.greater_equal(counts, low), pc.less(counts, high))
    safe = pc.if_else(near, counts, None)
    factor = times // per
    micros = pc.multiply(safe, factor) if factor else pc.divide(safe, per // times)
    return {"is not between the years 1 and 9999": mask(pc.invert(near))}, micros


def _from_text(text: pa.Array, dialect: Dialect, *, day_ends: bool) -> Converted:
    zone = dialect.timezone
    if dialect.time_format:
        absolute, naive, dates = _formatted(text, dialect.time_format)
        what = f"is not a time like --time-format {dialect.time_format}"
    else:
        absolute, naive, dates = _iso(text)
        what = "is not an ISO 8601 time"
    local = _localize(naive, zone)
    unread = mask(pc.is_valid(text)) & (absolute.isna() & naive.isna()).to_numpy()
    problems = {what: unread} | _problems(naive, local, zone)
    if day_ends and dates.any():
        local = local.where(~dates, _day_ends(naive, zone))
    return _instants(absolute.fillna(local), problems)


def _iso(text: pa.Array) -> tuple[pd.Series[pd.Timestamp], pd.Series[pd.Timestamp], Mask]:
    """Return times with a zone, times without one, and a mask of plain dates."""
    dated = pc.if_else(pc.match_substring_regex(text, _DATE), text, None)
    zoned = pc.match_substring_regex(dated, r"^.{11,}" + _ZONE)
    absolute = _parse(pc.if_else(zoned, dated, None), "ISO8601", utc=True)
    naive = _parse(pc.if_else(zoned, None, dated), "ISO8601", utc=False)
    _add_far(dated, absolute, naive)
    return absolute, naive, mask(pc.match_substring_regex(text, _DATE + "$"))


def _add_far(
    dated: pa.Array, absolute: pd.Series[pd.Timestamp], naive: pd.Series[pd.Timestamp]
) -> None:
    """Add times beyond the range of nanoseconds, 1677 to 2262, such as 9999-12-31."""
    unread = (
        mask(pc.match_substring_regex(dated, _DATE + "([T ]|$)"))
        & (absolute.isna() & naive.isna()).to_numpy()
    )
    for place in np.flatnonzero(unread).tolist():
        try:
            time = datetime.fromisoformat(dated[place].as_py())
            if time.tzinfo:
                absolute.iloc[place] = pd.Timestamp(time.astimezone(UTC)).as_unit("us")
            else:
                naive.iloc[place] = pd.Timestamp(time).as_unit("us")
        except (ValueError, OverflowError):
            continue


def _formatted(
    text: pa.Array, form: str
) -> tuple[pd.Series[pd.Timestamp], pd.Series[pd.Timestamp], Mask]:
    nothing = pa.nulls(len(text), pa.string())
    dates = np.full(len(text), not _HOURS.search(form))
    if "%z" in form:
        return _parse(text, form, utc=True), _parse(nothing, form, utc=False), dates
    return _parse(nothing, form, utc=True), _parse(text, form, utc=False), dates


def _from_numbers(text: pa.Array, counted: Mask, dialect: Dialect) -> Converted:
    unit = dialect.unit or TimeUnit.s
    nanos, start = NANOSECONDS[unit], round(dialect.start.timestamp() * 10**6)
    size = floats(text, counted)
    seconds = size * (nanos / 10**9) + start / 10**6
    near = counted & (seconds >= _FIRST) & (seconds <= _LAST)
    micros = np.rint(np.where(near, size, 0) * (nanos / 1000)).astype(np.int64)
    # A float has 15 digits and nanoseconds have 19, so whole numbers are counted as integers.
    digits = near & (np.abs(size) < 2.0**63) & mask(pc.match_substring_regex(text, _DIGITS))
    whole = pc.if_else(pa.array(digits), pc.replace_substring_regex(text, r"\.0*$", ""), "0")
    integers = pc.utf8_ltrim(whole, "+").cast(pa.int64()).to_numpy()
    exact = integers * (nanos // 1000) if nanos >= 1000 else integers // 1000
    values = np.where(digits, exact, micros) + start
    far = f"is beyond the year 9999, too many digits for {_WORDS[unit]}"
    values = pa.array(np.where(near, values, 0), mask=~near).cast(TIME)
    return Converted(values, {far: counted & ~near})


_WORDS = {
    TimeUnit.ns: "nanoseconds",
    TimeUnit.us: "microseconds",
    TimeUnit.ms: "milliseconds",
    TimeUnit.s: "seconds",
    TimeUnit.min: "minutes",
    TimeUnit.h: "hours",
    TimeUnit.d: "days",
}


def _parse(text: pa.Array, form: str, *, utc: bool) -> pd.Series[pd.Timestamp]:
    times = pd.to_datetime(text.to_pandas(), format=form, errors="coerce", utc=utc)
    return pd.Series(times.dt.as_unit("us"))


def _localize(times: pd.Series[pd.Timestamp], zone: str) -> pd.Series[pd.Timestamp]:
    return pd.Series(
        times.dt.tz_localize(zone, ambiguous="NaT", nonexistent="NaT").dt.tz_convert("UTC")
    )


def _day_ends(begins: pd.Series[pd.Timestamp], zone: str) -> pd.Series[pd.Timestamp]:
    """Return the last microsecond of every day, also if clocks change at midnight."""
    first = np.ones(len(begins), dtype=bool)
    midnight = (begins + _DAY).dt.tz_localize(zone, ambiguous=first, nonexistent="shift_forward")
    return pd.Series(midnight.dt.tz_convert("UTC") - pd.Timedelta(microseconds=1))


def _problems(
    naive: pd.Series[pd.Timestamp], local: pd.Series[pd.Timestamp], zone: str
) -> dict[str, Mask]:
    return {
        f"falls into a change of the clocks in {zone}": (naive.notna() & local.isna()).to_numpy()
    }


def _instants(times: pd.Series[pd.Timestamp], problems: dict[str, Mask]) -> Converted:
    return Converted(pa.Array.from_pandas(times, type=TIME), problems)
