"""Times in the ways that files write them: to UTC microseconds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from jobs.source.converted import Converted, Mask, as_text, floats, mask

TIME = pa.timestamp("us", "UTC")
LAST_SECOND = 253_402_300_799  # of the year 9999

_DATE = r"^\d{4}-\d{2}-\d{2}"
_ZONE = r"(Z|[+-]\d{2}(:?\d{2})?)$"
_SECONDS = r"^[+-]?\d+(\.\d*)?$"


def from_text(values: Any, zone: str) -> Converted:
    """ISO 8601 text, or Arrow times; without a zone of their own they are local times of `zone`."""
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        instants = values.cast(pa.timestamp("us", getattr(values.type, "tz", None)), safe=False).to_pandas()
        known = instants if getattr(values.type, "tz", None) else _localize(instants, zone)
        return _instants(known, {_clock(zone): (known.isna() & instants.notna()).to_numpy()})
    text = as_text(values)
    dated = pc.if_else(pc.match_substring_regex(text, _DATE), text, None)
    zoned = pc.match_substring_regex(dated, r"^.{11,}" + _ZONE)
    absolute = _parse(pc.if_else(zoned, dated, None), utc=True)
    naive = _parse(pc.if_else(zoned, None, dated), utc=False)
    local = _localize(naive, zone)
    unread = mask(pc.is_valid(text)) & (absolute.isna() & naive.isna()).to_numpy()
    problems = {
        "is not an ISO 8601 time": unread,
        _clock(zone): (naive.notna() & local.isna()).to_numpy(),
    }
    return _instants(absolute.fillna(local), problems)


def from_seconds(values: Any, zone: str) -> Converted:
    """Digits are seconds since 1970; anything else is read by from_text."""
    if pa.types.is_temporal(values.type):
        return from_text(values, zone)
    text = as_text(values)
    digits = mask(pc.match_substring_regex(text, _SECONDS))
    seconds = floats(text, digits)
    known = np.abs(seconds) <= LAST_SECOND
    other = from_text(pc.if_else(pa.array(digits), None, text), zone)
    micros = np.rint(np.where(known, seconds, 0) * 1e6).astype(np.int64)
    problems = {"is beyond the year 9999, too many digits for seconds": digits & ~known}
    return Converted(
        pc.if_else(pa.array(known), pa.array(micros).cast(TIME), other.values), problems | other.problems
    )


def _parse(text: Any, *, utc: bool) -> pd.Series[Any]:
    times = pd.to_datetime(text.to_pandas(), format="ISO8601", errors="coerce", utc=utc)
    return pd.Series(times.dt.as_unit("us"))


def _localize(times: pd.Series[Any], zone: str) -> pd.Series[Any]:
    return pd.Series(times.dt.tz_localize(zone, ambiguous="NaT", nonexistent="NaT").dt.tz_convert("UTC"))


def _clock(zone: str) -> str:
    return f"falls into a change of the clocks in {zone}"


def _instants(times: pd.Series[Any], problems: dict[str, Mask]) -> Converted:
    return Converted(pa.Array.from_pandas(times, type=TIME), problems)
