"""Errors that say the step, the date, what failed, on what input, why, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.core.masking import mask


@dataclass(eq=False)
class NightshiftError(Exception):
    """Base of every error a person is meant to read; `exit_code` tells a scheduler whether to try again."""

    what: str
    remedy: str = ""
    input: str = ""
    where: str = ""  # "<pipeline>/<step> <date>", filled in by the step that was running
    why: str = ""  # the engine's own reason, where `what` is ours
    trace: str = ""  # the file with the whole trace
    section: str = (
        ""  # of docs/runbook.md; where it is empty, the sections of the step that failed apply
    )

    exit_code = 1
    general_section = ""  # of an error of this class that names none

    def __str__(self) -> str:
        parts = [f"{self.where}: {self.what}" if self.where else self.what]
        if self.input:
            parts.append(f"Input: {self.input}.")
        if self.why:
            parts.append(f"Why: {self.why}")
        if self.remedy:
            parts.append(f"Next: {self.remedy}")
        if self.trace:
            parts.append(f"Trace: {self.trace}")
        return mask("\n  ".join(parts))

    def explained(self) -> str:
        """The error as a shell and a log show it: its parts, and where the runbook has more."""
        section = self.section or self.general_section
        return f"{self}\n  Runbook: docs/runbook.md#{section}" if section else str(self)


class DataError(NightshiftError):
    """The input is wrong: trying again without mending it cannot help (EX_DATAERR)."""

    exit_code = 65


class StoreError(NightshiftError):
    """A store did not answer or a lock was not to be had: trying again may help (EX_TEMPFAIL)."""

    exit_code = 75


class ConfigError(NightshiftError):
    """A setting or a parameter is missing or wrong (EX_CONFIG)."""

    exit_code = 78
    general_section = "a-setting-is-wrong"
