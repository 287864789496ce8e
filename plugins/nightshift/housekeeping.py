"""The DAG `housekeeping`: its schedule, its form, and one task per pipeline."""

from __future__ import annotations

from datetime import timedelta
from inspect import getdoc
from typing import TYPE_CHECKING

from airflow.sdk import BaseOperator, Param, TaskGroup
from airflow.sdk.exceptions import AirflowSkipException

from jobs.core.pipelines import PIPELINES
from jobs.core.pods import kubernetes
from jobs.core.settings import load
from nightshift.forms import is_dry
from nightshift.nights import DagArguments, daily, date_field
from nightshift.steps import StepOperator
from nightshift.tasks import step_task
from nightshift.triage import runbook

if TYPE_CHECKING:
    from airflow.sdk import Context

    from nightshift.events import StepResult

ALL = "all"


def every_morning() -> DagArguments:
    """The arguments of the DAG: at 05:30 UTC, when the nights are over, one run at a time."""
    return daily("30 5 * * *") | {
        "max_active_runs": 1,
        "tags": ["housekeeping"],
        "params": {
            "pipeline": Param(
                ALL, enum=[ALL, *PIPELINES], title="Pipeline", description="Pipeline to clean up."
            ),
            "date": date_field(),
            "dry_run": Param(
                True,
                type="boolean",
                title="Dry run",
                description="List what would be removed, without removing it. Scheduled runs "
                "always remove.",
            ),
        },
    }


class HousekeepingOperator(StepOperator):
    """Run housekeeping for one pipeline; skipped if the form asks for another pipeline."""

    def execute(self, context: Context) -> StepResult:
        pipeline = context["params"]["pipeline"]
        if pipeline not in (ALL, self.pipeline):
            raise AirflowSkipException(f"this run cleans up {pipeline} only")
        return super().execute(context)

    def options(self, context: Context) -> tuple[str, ...]:
        return ("--dry-run" if is_dry(context) else "--no-dry-run",)


def housekeeping() -> None:
    """Add the task of every pipeline, in a group with the pipeline's name, and the one for pods."""
    for pipeline in PIPELINES:
        with TaskGroup(pipeline):
            housekeeping_task(pipeline)
    orphan_pods()


def housekeeping_task(pipeline: str) -> BaseOperator:
    return step_task(pipeline, "housekeeping", HousekeepingOperator)


def orphan_pods() -> None:
    """Add the task that deletes pods without a task, if steps run as pods."""
    settings = load()
    if settings.runner == "kubernetes":
        from nightshift.orphans import OrphanPods  # a slow import, only for pods

        OrphanPods(
            task_id="orphan_pods",
            cluster=kubernetes(settings.params_file),
            execution_timeout=timedelta(minutes=10),
            doc_md=f"{getdoc(OrphanPods)}\n\n{runbook('orphan_pods')}",
        )
