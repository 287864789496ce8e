"""Promotion in the DAG: `promote`, and before it `approve` where the parameters ask for a person's word."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from airflow.sdk import BaseOperator

from jobs.core.errors import ConfigError
from jobs.core.params import PromoteParams, section
from jobs.core.settings import load
from nightshift.steps import StepOperator, step_task

if TYPE_CHECKING:
    from airflow.sdk import Context


class PromoteOperator(StepOperator):
    """Run promote, which reads what `approve` recorded; only an answer that was given in this run counts."""

    def options(self, context: Context) -> tuple[str, ...]:
        return (f"--dag-run={context['dag_run'].run_id}",)


def promote_after(gate: BaseOperator, pipeline: str) -> BaseOperator:
    """Put `promote` after `gate`, and `approve` between them where a person is asked. Returns what the day's scores
    wait for: promote; but only gate where a person is asked, who may be asleep.
    """
    known = _params(pipeline)
    if known.approval != "manual":
        promote = step_task(pipeline, "promote")
        gate >> promote
        return promote
    from nightshift.approval import (
        approve_task,  # and a dozen modules, which who asks nobody need not load
    )

    gate >> approve_task(pipeline, known) >> step_task(pipeline, "promote", PromoteOperator)
    return gate


def _params(pipeline: str) -> PromoteParams:
    """The defaults where the section is wrong: promote says what is wrong with it, which a DAG without tasks could not."""
    with suppress(ConfigError):
        return section(load().params_file, pipeline, "promote", PromoteParams)
    return PromoteParams.model_validate({})
