"""Promotion in the DAG: `promote`, and `approve` before it if the parameters ask for a person."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from airflow.sdk import BaseOperator

from jobs.core.errors import ConfigError
from jobs.core.params import PromoteParams, section
from jobs.core.settings import load
from nightshift.steps import StepOperator
from nightshift.tasks import step_task

if TYPE_CHECKING:
    from airflow.sdk import Context


class PromoteOperator(StepOperator):
    """Run promote, which reads what `approve` recorded; only an answer given in this run counts."""

    def options(self, context: Context) -> tuple[str, ...]:
        return (f"--dag-run={context['dag_run'].run_id}",)


def promote_after(gate: BaseOperator, pipeline: str) -> BaseOperator:
    """Add `promote` after `gate`, and `approve` between them if a person is asked.

    Returns the task that the day's scores wait for: promote, or gate if a person is asked, because
    that person may be asleep.
    """
    params = _params(pipeline)
    if params.approval != "manual":
        promote = step_task(pipeline, "promote")
        gate >> promote
        return promote
    from nightshift.approval import approve_task  # a slow import, only for approvals

    gate >> approve_task(pipeline, params) >> step_task(pipeline, "promote", PromoteOperator)
    return gate


def _params(pipeline: str) -> PromoteParams:
    """The section of promote; its defaults if it is wrong, since the step reports that, and a DAG
    that cannot be parsed would not.
    """
    with suppress(ConfigError):
        return section(load().params_file, pipeline, "promote", PromoteParams)
    return PromoteParams.model_validate({})
