"""What is said when a task has failed for good, and when the day's tables are late: in the log, and to the connection
`alerts.connection` of params.yaml, where there is one.
"""

from __future__ import annotations

import asyncio
import logging
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk.configuration import conf

from jobs.core.errors import ConfigError
from jobs.core.masking import mask
from jobs.core.params import AlertParams, alerts
from jobs.core.settings import load
from jobs.core.text import printable
from nightshift.notifier import LIMIT_S, send
from nightshift.steps import StepFailed, asked
from nightshift.triage import advice

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

ENDED = ("success", "failed")  # of a run
_LINES, _CHARACTERS = 5, 1_000


def report_failure(context: Context) -> None:
    """For whoever is on call: what failed, on which try, why, what is served meanwhile, and where to read on."""
    ti, pipeline, error = context["ti"], _pipeline(context), context.get("exception")
    day = context["dag_run"].partition_key or context["params"].get("date") or ""
    _say(
        f"{pipeline or ti.dag_id} {day}".rstrip()
        + f": {ti.task_id.rpartition('.')[2]} failed on try {ti.try_number}",
        _served(pipeline, served(pipeline)) if pipeline else "",
        f"Log: {ti.log_url}",
        advice(ti.task_id, error),
        error=_brief(error),
    )


async def report_late(pipeline: str, context: dict[str, Any]) -> None:
    """The callback of the deadline: silent when the run has ended, which its tasks' alerts and `freshness` speak of, when
    the day, or a later one, is served, or when it was only to be ingested.

    For the triggerer: Airflow 3.3.2 gives a callback on the executor no connection (403, its token is no task's).
    """
    await asyncio.to_thread(_report_late, pipeline, context)


def _report_late(pipeline: str, context: dict[str, Any]) -> None:
    run = context["dag_run"]
    form = run["conf"] or {}
    day, now = run["partition_key"] or form.get("date"), served(pipeline)
    done = run["state"] in ENDED or form.get("steps") == "ingest"
    if done or not day or (now and (now["date"] or "") >= day):
        log.info("nothing is late: %s, %s, %s", day, form, now)
        return
    base = conf.get("api", "base_url", fallback="http://localhost:8080/")  # as Airflow's own links
    link = f"{base.rstrip('/')}/dags/{run['dag_id']}/runs/{quote(run['dag_run_id'])}"
    _say(
        f"{pipeline} {day}: its tables are not served",
        f"They were due at {context['deadline']['deadline_time']}; the run is {run['state']}.",
        _served(pipeline, now),
        f"Run: {link}",
        advice("freshness"),
    )


def served(pipeline: str) -> dict[str, Any] | None:
    """What `nightshift served` says: version, date, age and model, null where nothing is; None when it says nothing."""
    try:
        found: dict[str, Any] = asked(pipeline, "served", pipeline, limit_s=LIMIT_S)
    except (StepFailed, subprocess.TimeoutExpired, ValueError):
        return None
    return found


def known() -> AlertParams:
    """The section `alerts`; its defaults where it is wrong, for a night must run and an alert must leave all the same."""
    with suppress(ConfigError):
        return alerts(load().params_file)
    return AlertParams.model_validate({})


def _say(title: str, *lines: str, error: str = "") -> None:
    """To the log and to the connection; the error to the latter alone, for the log has it already."""
    said, text = (
        printable(mask("\n".join(filter(None, each))), keep="\n")
        for each in (lines, (error, *lines))
    )
    log.error("%s. %s", printable(title), " ".join(said.split()))
    send(known().connection, printable(title), text)


def _brief(error: Any) -> str:
    """The first lines of what went wrong, without the link that ends the alert."""
    lines = str(getattr(error, "text", error) or "no reason is known").splitlines()
    return "\n".join([line for line in lines if "Runbook: " not in line][:_LINES])[:_CHARACTERS]


def _served(pipeline: str, now: dict[str, Any] | None) -> str:
    if now is None:
        return f"Served now: not known, `nightshift served {pipeline}` did not answer."
    if not now["version"]:
        return "Served now: nothing."
    told = f"{now['version']} of {now['date']}, published {now['age']} ago, by model {now['model']}"
    return f"Served now: {told}."


def _pipeline(context: Context) -> str | None:
    """Whose task it is: the task's own, the form's, or the one that all steps of the DAG belong to."""
    task = context["ti"].task
    for found in (getattr(task, "pipeline", None), context["params"].get("pipeline")):
        if found and found != "all":
            return str(found)
    every = {found for each in task.dag.tasks if (found := getattr(each, "pipeline", None))}
    return every.pop() if len(every) == 1 else None
