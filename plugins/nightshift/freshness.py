"""Freshness as a DAG: when the served tables are to be there, and a task for each pipeline."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseOperator

from nightshift.alerts import known
from nightshift.nights import daily, date_field
from nightshift.steps import step_task


def every_day() -> dict[str, Any]:
    """The arguments of the DAG: at `alerts.published_by_hour`, for the day that has ended, one run at a time."""
    return daily(f"0 {known().published_by_hour} * * *") | {
        "max_active_runs": 1,
        "tags": ["freshness"],
        "params": {"date": date_field()},
    }


def freshness(pipeline: str) -> BaseOperator:
    """The task of a pipeline."""
    return step_task(pipeline, "freshness")
