"""The task that runs a step: a process on the worker, or a pod."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseOperator, TriggerRule

from jobs.core import pods
from jobs.core.settings import load
from jobs.core.steps import NIGHTLY, STEPS
from nightshift.events import outlets
from nightshift.steps import RETRY_POLICY, StepOperator, nights
from nightshift.triage import step_doc


def step_task(
    pipeline: str,
    step: str,
    operator: type[StepOperator] = StepOperator,
    trigger_rule: TriggerRule = TriggerRule.ALL_SUCCESS,
) -> BaseOperator:
    """The task that runs a step and has its name.

    It is a pod if NIGHTSHIFT_RUNNER is kubernetes and params.yaml gives the step a size; otherwise
    a process on the worker.
    """
    row = STEPS[step]
    kwargs: dict[str, Any] = {
        "task_id": step,
        "pool": row.pool,
        "execution_timeout": row.timeout,
        "retry_policy": RETRY_POLICY,
        "inlets": [nights(pipeline)] if step == NIGHTLY[0] else [],
        "outlets": outlets(pipeline, step),
        "doc_md": step_doc(pipeline, step),
        "trigger_rule": trigger_rule,
    }
    settings = load()
    file = settings.params_file
    size = pods.size(file, pipeline, step) if settings.runner == "kubernetes" else None
    if size is None or operator is not StepOperator:
        return operator(pipeline=pipeline, step=step, **kwargs)
    from nightshift.pods import PodStepOperator  # a slow import, only for pods

    cluster = pods.kubernetes(file)
    return PodStepOperator(pipeline=pipeline, step=step, size=size, cluster=cluster, **kwargs)
