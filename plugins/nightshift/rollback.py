"""Rollback as a DAG: its form, and its one task."""

from __future__ import annotations

from datetime import timedelta
from inspect import getdoc
from typing import TYPE_CHECKING, Any

from airflow.sdk import Param

from jobs.core.steps import STEPS
from nightshift.alerts import report_failure
from nightshift.dates import day_of
from nightshift.nights import date_field
from nightshift.steps import RETRY_POLICY, CommandOperator
from nightshift.triage import runbook

if TYPE_CHECKING:
    from airflow.sdk import Context

# A version of tables; the beginning of a model's digest; its number in MLflow.
TARGET = r"^(\d{8}-[0-9a-f]{12}|[0-9a-f]{8,64}|\d{1,7})$"


def on_demand(*pipelines: str) -> dict[str, Any]:
    """The arguments of the DAG: only by hand, one run at a time, and at once where others wait for a slot."""
    return {
        "schedule": None,
        "catchup": False,
        "max_active_runs": 1,
        "tags": ["rollback"],
        "params": form(*pipelines),
        "default_args": {
            "owner": "nightshift",
            "weight_rule": "absolute",
            "priority_weight": 1000,
            "retries": 3,
            "retry_delay": timedelta(seconds=5),  # somebody waits for it
            "on_failure_callback": report_failure,
        },
    }


def form(*pipelines: str) -> dict[str, Param]:
    """What is asked of who rolls back."""
    return {
        "pipeline": Param(
            pipelines[0],
            type="string",
            enum=[*pipelines],
            title="Pipeline",
            description="The use case.",
        ),
        "what": Param(
            "both",
            type="string",
            enum=["tables", "model", "both"],
            title="What",
            description="Tables: the model stays. Model: changes only what the next predict uses. Both: the tables, and "
            "the model to the one that made them.",
        ),
        "to": Param(
            None,
            type=["null", "string"],
            pattern=TARGET,
            title="To",
            description="A version of the tables, as 20180710-0123456789ab; a model by 8 digits or more of its digest, "
            "or by its number in MLflow. Empty: the previous.",
        ),
        "reason": Param(
            type="string",
            minLength=3,
            maxLength=500,
            title="Reason",
            description="Why; stored with it.",
        ),
        "date": date_field(
            "The UTC day from which it counts, YYYY-MM-DD. Empty: that of the newest night."
        ),
        "dry_run": Param(
            True,
            type="boolean",
            title="Dry run",
            description="Say what would be done, and change nothing.",
        ),
    }


class RollbackOperator(CommandOperator):
    """Take back the served tables, the model, or both, as the form says, in the name of who triggered it.

    The log ends with what was done, or would be, and what is served. The same form twice changes nothing more.
    """

    ui_color = "#fce8e6"

    def execute(self, context: Context) -> None:
        """Raises StepFailed or MendFirst."""
        asked, run = context["params"], context["dag_run"]
        day = str(day_of(context)) if run.partition_key or asked["date"] else ""
        to = [f"--to={asked['to']}"] if asked["to"] else []
        # The name and the reason are the user's: behind an equals sign they are a value, whatever they begin with.
        self.command(
            f"{asked['pipeline']}/rollback {day}".rstrip(),
            [
                "rollback",
                asked["pipeline"],
                *(["--date", day] if day else []),
                "--what",
                asked["what"],
                *to,
                f"--reason={asked['reason']}",
                f"--by={run.triggering_user_name or 'airflow'}",
                "--dry-run" if asked["dry_run"] else "--no-dry-run",
            ],
        )
        self.command(f"{asked['pipeline']} served", ["served", asked["pipeline"]])


def rollback() -> RollbackOperator:
    return RollbackOperator(
        task_id="rollback",
        execution_timeout=STEPS["rollback"].timeout,
        retry_policy=RETRY_POLICY,
        doc_md=f"{getdoc(RollbackOperator)}\n\n{runbook('rollback')}",
    )
