"""The DAG `freshness`: its schedule, and one task per pipeline."""

from __future__ import annotations

from airflow.sdk import TaskGroup

from jobs.core.pipelines import PIPELINES
from nightshift.alerts import parameters
from nightshift.nights import DagArguments, daily, date_field
from nightshift.tasks import step_task


def every_day() -> DagArguments:
    """The arguments of the DAG: a daily run at `alerts.published_by_hour`, for the day before."""
    return daily(f"0 {parameters().published_by_hour} * * *") | {
        "max_active_runs": 1,
        "tags": ["freshness"],
        "params": {"date": date_field()},
    }


def freshness() -> None:
    """Add the task of every pipeline, in a group with the pipeline's name."""
    for pipeline in PIPELINES:
        with TaskGroup(pipeline):
            step_task(pipeline, "freshness")
