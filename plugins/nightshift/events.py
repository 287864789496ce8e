"""What other DAGs may schedule on: an asset for each event of a pipeline, with the day as its partition key.

An event says that something has happened for a day. A re-run says so again: who listens does the same day twice
without harm, as the steps do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset

from jobs.core.steps import STEPS
from nightshift.dates import day_of

if TYPE_CHECKING:
    from airflow.sdk import Context


def outlets(pipeline: str, step: str) -> list[Asset]:
    """The assets of a step's task: that of its event, if it has one."""
    event = STEPS[step].event
    return [asset(pipeline, event)] if event else []


def asset(pipeline: str, event: str) -> Asset:
    """The asset of a pipeline's event, to schedule on."""
    return Asset(
        name=f"{pipeline}.{event}", uri=f"nightshift://{pipeline}/{event}", group="nightshift"
    )


def emit(pipeline: str, step: str, context: Context, left: dict[str, Any]) -> None:
    """Say what the step did, as its XCom `left` tells; say nothing where the thing did not happen.

    The extra is `pipeline`, `date`, `version` (the served one, or a model's digest, or null) and `rows` by output.
    """
    event = STEPS[step].event
    if not event:
        return
    if not _happened(step, left):
        # An outlet speaks whenever its task succeeds. This is the copy of the task that runs this try.
        context["ti"].task.outlets = []
        return
    day = str(day_of(context))
    version = (
        left.get("served_version")
        if step == "publish"
        else left["model"]
        if event.startswith("model.")
        else None
    )
    outlet = context["outlet_events"][asset(pipeline, event)]
    outlet.extra = {"pipeline": pipeline, "date": day, "version": version, "rows": left["rows"]}
    outlet.add_partitions(day)


def _happened(step: str, left: dict[str, Any]) -> bool:
    """A rejected challenger is not promoted, and tables of an older day, or withdrawn ones, are not served."""
    if step == "promote":
        return bool(left.get("promoted"))
    # A publish also says what is served where that is another version than its own.
    return step != "publish" or left.get("served_version") == left["version"]
