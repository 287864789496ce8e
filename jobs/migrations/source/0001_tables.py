"""The tables of release 0.1.0, which created them on first use, without a version: no change."""

from __future__ import annotations

from jobs.core.settings import Settings
from jobs.migrations.types import Say


def apply(settings: Settings, say: Say) -> None:
    """Nothing to do."""
