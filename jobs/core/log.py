"""Structured logging: one line per event, as text or JSON (`NIGHTSHIFT_LOG=json`)."""

from __future__ import annotations

import logging
import math
import os
import sys
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

from jobs.core.masking import masked
from jobs.core.text import printable

if TYPE_CHECKING:
    from structlog.typing import EventDict, WrappedLogger

_LINES = "\n\t"  # characters of a traceback that stay as they are
_RUN = ("pipeline", "step", "date", "attempt")


def _with_data(_logger: WrappedLogger, level: str, event: EventDict) -> EventDict:
    """Return the fields of the event and its run, then its data, which overrides none of them."""
    record = event["_record"]
    fields = {"at": _utc(record), "level": level, "event": event["event"]}
    fields |= {name: str(getattr(record, name)) for name in _RUN if hasattr(record, name)}
    if "exception" in event:
        fields["exception"] = event["exception"]
    return cast("EventDict", _finite(fields | getattr(record, "data", {}) | fields))


def _finite(value: object) -> object:
    """Return `value` with None for the numbers that JSON lacks (NaN and infinities)."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _line(_logger: WrappedLogger, level: str, event: EventDict) -> str:
    """Return the line for people, and the traceback below it."""
    record = event["_record"]
    where = f"{record.pipeline}/{record.step} {record.date} " if hasattr(record, "step") else ""
    # An error has one part per line; here they become one line.
    data = " ".join(
        f"{key}={value}".replace("\n  ", " ") for key, value in getattr(record, "data", {}).items()
    )
    text = printable(f"{where}{event['event']} {data}".rstrip())
    line = f"{_utc(record)[11:19]} {level:7} {text}"
    if "exception" not in event:
        return line
    return f"{line}\n{printable(event['exception'], keep=_LINES)}"


def _utc(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


class Log(logging.LoggerAdapter[logging.Logger]):
    """A logger of one run: `log.info("swapped", rows=3)` adds pipeline, step, date and attempt."""

    def process(
        self, msg: object, kwargs: MutableMapping[str, object]
    ) -> tuple[object, MutableMapping[str, object]]:
        options = {key: kwargs.pop(key) for key in ("exc_info", "stacklevel") if key in kwargs}
        return msg, {**options, "extra": {**(self.extra or {}), "data": kwargs}}


def logger(**run: object) -> Log:
    """Return the logger of one run; `run` may hold pipeline, step, date and attempt."""
    return Log(logging.getLogger("nightshift"), run)


def set_up() -> None:
    """Send the events to standard error in the format of `NIGHTSHIFT_LOG` (human, json)."""
    # Slow to import; only a process that writes events needs it.
    from structlog.processors import JSONRenderer, format_exc_info
    from structlog.stdlib import ProcessorFormatter

    machine = os.environ.get("NIGHTSHIFT_LOG") == "json"
    render = [_with_data, JSONRenderer(default=str)] if machine else [_line]
    handler = logging.StreamHandler(masked(sys.stderr))
    handler.setFormatter(ProcessorFormatter(processors=[format_exc_info, *render]))
    root = logging.getLogger("nightshift")
    root.handlers[:] = [handler]
    root.setLevel(os.environ.get("NIGHTSHIFT_LOG_LEVEL", "INFO").upper())
    root.propagate = False
