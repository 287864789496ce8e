"""Structured logging: one line per event, as text or JSON (`NIGHTSHIFT_LOG=json`)."""

from __future__ import annotations

import json
import logging
import math
import os
import sys
from datetime import UTC, datetime
from typing import Any

from jobs.core.masking import masked
from jobs.core.text import printable

_LINES = "\n\t"  # characters of a traceback that stay as they are
_FIELDS = ("pipeline", "step", "date", "attempt")


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        event = {
            "at": _utc(record),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        event |= {name: str(getattr(record, name)) for name in _FIELDS if hasattr(record, name)}
        if record.exc_info:
            event["exception"] = self.formatException(record.exc_info)
        return json.dumps(_finite(event | getattr(record, "data", {}) | event), default=str)


class _Human(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        where = f"{record.pipeline}/{record.step} {record.date} " if hasattr(record, "step") else ""  # type: ignore[attr-defined]
        # An error has one part per line; here they become one line.
        data = " ".join(
            f"{key}={value}".replace("\n  ", " ")
            for key, value in getattr(record, "data", {}).items()
        )
        event = printable(f"{where}{record.getMessage()} {data}".rstrip())
        line = f"{_utc(record)[11:19]} {record.levelname.lower():7} {event}"
        if not record.exc_info:
            return line
        return f"{line}\n{printable(self.formatException(record.exc_info), keep=_LINES)}"


def _finite(value: Any) -> Any:
    """Return `value` with None for the numbers that JSON lacks (NaN and infinities)."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _utc(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


class Log(logging.LoggerAdapter[logging.Logger]):
    """A logger of one run: `log.info("swapped", rows=3)` adds pipeline, step, date and attempt."""

    def process(self, msg: Any, kwargs: Any) -> tuple[Any, Any]:
        options = {key: kwargs.pop(key) for key in ("exc_info", "stacklevel") if key in kwargs}
        return msg, {**options, "extra": {**(self.extra or {}), "data": kwargs}}


def logger(**run: object) -> Log:
    """Return the logger of one run; `run` may hold pipeline, step, date and attempt."""
    return Log(logging.getLogger("nightshift"), run)


def set_up() -> None:
    """Send the events to standard error in the format of `NIGHTSHIFT_LOG` (human, json)."""
    handler = logging.StreamHandler(masked(sys.stderr))
    handler.setFormatter(_Json() if os.environ.get("NIGHTSHIFT_LOG") == "json" else _Human())
    root = logging.getLogger("nightshift")
    root.handlers[:] = [handler]
    root.setLevel(os.environ.get("NIGHTSHIFT_LOG_LEVEL", "INFO").upper())
    root.propagate = False
