"""The receipt of a run: its outcome without times, for digests, DVC and Airflow's tasks."""

from __future__ import annotations

from typing import NotRequired, TypedDict


class Receipt(TypedDict):
    """What a repeated run leaves unchanged."""

    step: str  # <pipeline>/<step>
    date: str
    outputs: list[tuple[str, int, str]]  # name, rows, digest
    model_digest: str | None
    facts: NotRequired[dict[str, object]]  # the decisive ones


class Decisions(TypedDict, total=False):
    """The facts that Airflow's tasks and events decide by."""

    decision: str  # retrain
    verdict: str  # gate, promote
    promoted: bool  # promote
    version: str  # publish
    served_version: str | None  # publish


class TaskReceipt(Receipt):
    """What a step's process writes for its task."""

    decided: Decisions
