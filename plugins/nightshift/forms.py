"""What the values of a DAG's form mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk.api.datamodels._generated import DagRunType

if TYPE_CHECKING:
    from airflow.sdk import Context


def is_dry(context: Context) -> bool:
    """Whether this run only lists. Scheduled runs remove, since nobody would read the list."""
    return (
        bool(context["params"]["dry_run"]) and context["dag_run"].run_type != DagRunType.SCHEDULED
    )
