"""The interface of a Python migration: `apply(settings, say)`, which can be killed and rerun."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from jobs.core.settings import Settings

Say = Callable[[str], None]


class Module(Protocol):
    """A file `jobs/migrations/<store>/NNNN_what_changes.py`."""

    def apply(self, settings: Settings, say: Say) -> None:
        """Change the store, and `say` what a person should know, line by line."""
