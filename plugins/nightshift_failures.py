"""What is said when a task has failed for good."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from nightshift_triage import runbook

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)


def report_failure(context: Context) -> None:
    """One line for whoever is on call: what failed, on which try, why, and where to read on."""
    ti = context["ti"]
    log.error(
        "%s.%s of %s failed on try %s: %s %s Log: %s",
        ti.dag_id, ti.task_id, context["dag_run"].partition_key or context["params"].get("date"),
        ti.try_number, context.get("exception"), runbook(ti.task_id), ti.log_url,
    )  # fmt: skip
