"""Housekeeping as a DAG: its schedule, its form, and a task for each pipeline."""

from __future__ import annotations

from datetime import timedelta
from inspect import getdoc
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, Param
from airflow.sdk.api.datamodels._generated import DagRunType
from airflow.sdk.exceptions import AirflowSkipException

from jobs.core.pods import kubernetes
from jobs.core.settings import load
from nightshift.nights import daily, date_field
from nightshift.steps import StepOperator, step_task
from nightshift.triage import runbook

if TYPE_CHECKING:
    from airflow.sdk import Context

ALL = "all"


def every_morning(*pipelines: str) -> dict[str, Any]:
    """The arguments of the DAG: at 05:30 UTC, when the nights are over, one run at a time."""
    return daily("30 5 * * *") | {
        "max_active_runs": 1,
        "tags": ["housekeeping"],
        "params": {
            "pipeline": Param(
                ALL, enum=[ALL, *pipelines], title="Pipeline", description="Whose leftovers go."
            ),
            "date": date_field(),
            "dry_run": Param(
                True,
                type="boolean",
                title="Dry run",
                description="Say what would go and remove nothing. Runs of the schedule remove, whatever this says.",
            ),
        },
    }


class HousekeepingOperator(StepOperator):
    """Run housekeeping for one pipeline; skipped where the form asks for another."""

    def execute(self, context: Context) -> dict[str, Any]:
        asked = context["params"]["pipeline"]
        if asked not in (ALL, self.pipeline):
            raise AirflowSkipException(f"this run was asked for {asked} only")
        return super().execute(context)

    def options(self, context: Context) -> tuple[str, ...]:
        return ("--dry-run" if is_dry(context) else "--no-dry-run",)


def is_dry(context: Context) -> bool:
    """A run of the schedule removes: nobody is there to read first what would go."""
    return (
        bool(context["params"]["dry_run"]) and context["dag_run"].run_type != DagRunType.SCHEDULED
    )


def housekeeping(pipeline: str) -> BaseOperator:
    """The task of a pipeline."""
    return step_task(pipeline, "housekeeping", HousekeepingOperator)


def orphan_pods() -> None:
    """The task for pods that nobody waits for; only where steps run as pods."""
    chosen = load()
    if chosen.runner == "kubernetes":
        from nightshift.orphans import OrphanPods  # seconds, which who runs no pods need not spend

        OrphanPods(
            task_id="orphan_pods",
            known=kubernetes(chosen.params_file),
            execution_timeout=timedelta(minutes=10),
            doc_md=f"{getdoc(OrphanPods)}\n\n{runbook('orphan_pods')}",
        )
