"""Assets that other DAGs can schedule on: one per event of a pipeline, with the day as partition
key.

An event says that something has happened for a day. A rerun emits it again, so a DAG that listens
must be able to run the same day twice, like the steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import Asset

from jobs.core.receipt import Decisions
from jobs.core.steps import STEPS
from nightshift.dates import day_of

if TYPE_CHECKING:
    from airflow.sdk import Context


class StepResult(Decisions, total=True):
    """The XCom of a step's task: its manifest, rows by output, model digest and decisions."""

    manifest: str
    rows: dict[str, int]
    model: str | None


def outlets(pipeline: str, step: str) -> list[Asset]:
    """The assets of a step's task: the one of its event, if it has an event."""
    event = STEPS[step].event
    return [asset(pipeline, event)] if event else []


def asset(pipeline: str, event: str) -> Asset:
    """The asset of a pipeline's event, to schedule on."""
    return Asset(
        name=f"{pipeline}.{event}", uri=f"nightshift://{pipeline}/{event}", group="nightshift"
    )


def emit(pipeline: str, step: str, context: Context, result: StepResult) -> None:
    """Emit the step's event, unless its `result` (the XCom) says that it did not happen.

    The event's extra has `pipeline`, `date`, `version` (the served version, the digest of a model,
    or null) and `rows` by output.
    """
    event = STEPS[step].event
    if not event:
        return
    if not _happened(step, result):
        # Airflow emits an event for every outlet of a task that succeeds. This removes them from
        # the copy of the task that runs this try.
        context["ti"].task.outlets = []
        return
    day = str(day_of(context))
    version = (
        result.get("served_version")
        if step == "publish"
        else result["model"]
        if event.startswith("model.")
        else None
    )
    outlet = context["outlet_events"][asset(pipeline, event)]
    outlet.extra = {
        "pipeline": pipeline,
        "date": day,
        "version": version,
        "rows": {**result["rows"]},
    }
    outlet.add_partitions(day)


def _happened(step: str, result: StepResult) -> bool:
    """False if the challenger was rejected, or if another version than this one is served."""
    if step == "promote":
        return bool(result.get("promoted"))
    return step != "publish" or result.get("served_version") == result["version"]
