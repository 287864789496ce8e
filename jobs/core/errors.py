"""Errors for people: step and date, what failed, on what input, why, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.core.masking import mask


@dataclass(eq=False)
class NightshiftError(Exception):
    """Base of every error that a person reads; `exit_code` tells a scheduler whether to retry."""

    what: str
    remedy: str = ""
    input: str = ""
    where: str = ""  # "<pipeline>/<step> <date>", filled in by the step that was running
    why: str = ""  # the engine's own message, where `what` is ours
    trace: str = ""  # path of the file with the full traceback
    # Section of docs/runbook.md; when empty, the sections of the failed step apply.
    section: str = ""

    exit_code = 1
    general_section = ""  # used when an error of this class names no section

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
        """Return the error as a shell or a log shows it: its parts and a link to the runbook."""
        section = self.section or self.general_section
        return f"{self}\n  Runbook: docs/runbook.md#{section}" if section else str(self)


class DataError(NightshiftError):
    """The input is wrong: a retry cannot help until someone corrects it (EX_DATAERR)."""

    exit_code = 65


class StoreError(NightshiftError):
    """A store did not answer or a lock could not be acquired: a retry may help (EX_TEMPFAIL)."""

    exit_code = 75


class ConfigError(NightshiftError):
    """A setting or a parameter is missing or wrong (EX_CONFIG)."""

    exit_code = 78
    general_section = "a-setting-is-wrong"
