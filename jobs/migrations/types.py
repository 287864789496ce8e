"""What a migration that is no SQL provides: `apply(settings, say)`. It can be killed anywhere, and run again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from jobs.core.settings import Settings

Say = Callable[[str], None]


class Module(Protocol):
    """A file `jobs/migrations/<store>/NNNN_what_changes.py`."""

    def apply(self, settings: Settings, say: Say) -> None:
        """Change the store, and `say` a line about what a person should know."""
