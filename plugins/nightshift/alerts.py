"""Alerts: a task has failed for good, or the day's tables are late.

An alert goes to the log, and to the connection `alerts.connection` of params.yaml if it exists.
"""

from __future__ import annotations

import asyncio
import logging
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, TypedDict
from urllib.parse import quote

from airflow.sdk.configuration import conf

from jobs.core.errors import ConfigError
from jobs.core.masking import mask
from jobs.core.params import AlertParams, alerts
from jobs.core.settings import load
from jobs.core.text import printable
from nightshift.notifier import LIMIT_S, send
from nightshift.steps import StepFailed, call_json
from nightshift.triage import advice

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

ENDED = ("success", "failed")  # of a run
_LINES, _CHARACTERS = 5, 1_000


class ServedVersion(TypedDict):
    """What `nightshift served` prints; every value is null if nothing is served."""

    version: str | None
    date: str | None
    age: str | None
    model: str | None


class _RunForm(TypedDict, total=False):
    date: str | None
    steps: str


class _LateRun(TypedDict):
    dag_id: str
    dag_run_id: str
    partition_key: str | None
    conf: _RunForm | None
    state: str


class _MissedDeadline(TypedDict):
    deadline_time: str


class LateContext(TypedDict):
    """What Airflow passes to the callback of a deadline."""

    dag_run: _LateRun
    deadline: _MissedDeadline


def report_failure(context: Context) -> None:
    """Alert on-call: what failed, on which try, why, what is served, and where to read more."""
    ti, pipeline, error = context["ti"], _pipeline(context), context.get("exception")
    day = context["dag_run"].partition_key or context["params"].get("date") or ""
    _alert(
        f"{pipeline or ti.dag_id} {day}".rstrip()
        + f": {ti.task_id.rpartition('.')[2]} failed on try {ti.try_number}",
        _served(pipeline, served(pipeline)) if pipeline else "",
        f"Log: {ti.log_url}",
        advice(ti.task_id, error),
        error=_brief(error),
    )


async def report_late(pipeline: str, context: LateContext) -> None:
    """The callback of the deadline.

    It is silent if the run has ended (its tasks' alerts and `freshness` cover that), if the day or
    a later one is served, or if the run only ingests. It runs in the triggerer, because Airflow
    3.3.2 gives a callback on the executor no connection (403: its token is not a task's).
    """
    await asyncio.to_thread(_report_late, pipeline, context)


def _report_late(pipeline: str, context: LateContext) -> None:
    run = context["dag_run"]
    form = run["conf"] or {}
    day, now = run["partition_key"] or form.get("date"), served(pipeline)
    ended = run["state"] in ENDED or form.get("steps") == "ingest"
    if ended or not day or (now and (now["date"] or "") >= day):
        log.info("nothing is late: day %s, form %s, served %s", day, form, now)
        return
    base = conf.get("api", "base_url", fallback="http://localhost:8080/")  # like Airflow's links
    link = f"{base.rstrip('/')}/dags/{run['dag_id']}/runs/{quote(run['dag_run_id'])}"
    _alert(
        f"{pipeline} {day}: its tables are not served",
        f"They were due at {context['deadline']['deadline_time']}; the run is {run['state']}.",
        _served(pipeline, now),
        f"Run: {link}",
        advice("freshness"),
    )


def served(pipeline: str) -> ServedVersion | None:
    """The output of `nightshift served`: version, date, age and model, each null if nothing is
    served.

    Returns None if the command does not answer.
    """
    try:
        version: ServedVersion = call_json(pipeline, "served", pipeline, limit_s=LIMIT_S)
    except (StepFailed, subprocess.TimeoutExpired, ValueError):
        return None
    return version


def parameters() -> AlertParams:
    """The section `alerts`; its defaults if it is wrong, so that nights run and alerts still go
    out.
    """
    with suppress(ConfigError):
        return alerts(load().params_file)
    return AlertParams.model_validate({})


def _alert(title: str, *lines: str, error: str = "") -> None:
    """Log the alert and send it. The log leaves out the error, because it has it already."""
    logged, sent = (
        printable(mask("\n".join(filter(None, parts))), keep="\n")
        for parts in (lines, (error, *lines))
    )
    log.error("%s. %s", printable(title), " ".join(logged.split()))
    send(parameters().connection, printable(title), sent)


def _brief(error: object) -> str:
    """The first lines of the error, without its link to the runbook, which ends the alert."""
    lines = str(getattr(error, "text", error) or "the reason is unknown").splitlines()
    return "\n".join([line for line in lines if "Runbook: " not in line][:_LINES])[:_CHARACTERS]


def _served(pipeline: str, now: ServedVersion | None) -> str:
    if now is None:
        return f"Served now: unknown, because `nightshift served {pipeline}` did not answer."
    if not now["version"]:
        return "Served now: nothing."
    return (
        f"Served now: {now['version']} of {now['date']}, published {now['age']} ago, "
        f"by model {now['model']}."
    )


def _pipeline(context: Context) -> str | None:
    """The pipeline of the task: its own, the form's, or the one of all steps of the DAG."""
    task = context["ti"].task
    for pipeline in (getattr(task, "pipeline", None), context["params"].get("pipeline")):
        if pipeline and pipeline != "all":
            return str(pipeline)
    pipelines = {getattr(other, "pipeline", None) for other in task.dag.tasks} - {None}
    return pipelines.pop() if len(pipelines) == 1 else None
