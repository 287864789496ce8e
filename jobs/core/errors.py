"""Errors that say the step, the date, the input, what is wrong and what to do next."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(eq=False)
class NightshiftError(Exception):
    """Base of every error a person is meant to read; `exit_code` tells a scheduler whether to try again."""

    what: str
    remedy: str = ""
    input: str = ""
    where: str = ""  # "<pipeline>/<step> <date>", filled in by the step that was running

    exit_code = 1

    def __str__(self) -> str:
        parts = [f"{self.where}: {self.what}" if self.where else self.what]
        if self.input:
            parts.append(f"Input: {self.input}.")
        if self.remedy:
            parts.append(f"Next: {self.remedy}")
        return "\n  ".join(parts)


class DataError(NightshiftError):
    """The input is wrong: trying again without mending it cannot help (EX_DATAERR)."""

    exit_code = 65


class StoreError(NightshiftError):
    """A store did not answer or a lock was not to be had: trying again may help (EX_TEMPFAIL)."""

    exit_code = 75


class ConfigError(NightshiftError):
    """A setting or a parameter is missing or wrong (EX_CONFIG)."""

    exit_code = 78
