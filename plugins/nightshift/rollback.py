"""The DAG `rollback`: its form and its task."""

from __future__ import annotations

from datetime import timedelta
from inspect import getdoc
from typing import TYPE_CHECKING

from airflow.sdk import Param

from jobs.core.pipelines import DEFAULT_PIPELINE, PIPELINES
from jobs.core.steps import STEPS
from nightshift.alerts import report_failure
from nightshift.dates import day_of
from nightshift.nights import DagArguments, date_field
from nightshift.steps import RETRY_POLICY, CommandOperator
from nightshift.triage import runbook

if TYPE_CHECKING:
    from airflow.sdk import Context

# A version of the tables, the beginning of a model's digest, or a model's number in MLflow.
TARGET = r"^(\d{8}-[0-9a-f]{12}|[0-9a-f]{8,64}|\d{1,7})$"


def on_demand() -> DagArguments:
    """The arguments of the DAG: manual runs only, one at a time, ahead of tasks that wait for a
    slot.
    """
    return {
        "schedule": None,
        "catchup": False,
        "max_active_runs": 1,
        "tags": ["rollback"],
        "params": form(),
        "default_args": {
            "owner": "nightshift",
            "weight_rule": "absolute",
            "priority_weight": 1000,
            "retries": 3,
            "retry_delay": timedelta(seconds=5),  # a person waits for it
            "on_failure_callback": report_failure,
        },
    }


def form() -> dict[str, Param]:
    """The fields of the form."""
    return {
        "pipeline": Param(
            DEFAULT_PIPELINE,
            type="string",
            enum=[*PIPELINES],
            title="Pipeline",
            description="The use case to roll back.",
        ),
        "what": Param(
            "both",
            type="string",
            enum=["tables", "model", "both"],
            title="What",
            description="`tables` keeps the model. `model` only changes what the next predict "
            "uses. `both` rolls back the tables, and the model to the one that made them.",
        ),
        "to": Param(
            None,
            type=["null", "string"],
            pattern=TARGET,
            title="To",
            description="A version of the tables, such as 20180710-0123456789ab, or a model: at "
            "least 8 digits of its digest, or its number in MLflow. Empty for the previous one.",
        ),
        "reason": Param(
            type="string",
            minLength=3,
            maxLength=500,
            title="Reason",
            description="Why you roll back. It is stored with the rollback.",
        ),
        "date": date_field(
            "UTC day from which the rollback counts, YYYY-MM-DD. Empty for the newest night."
        ),
        "dry_run": Param(
            True,
            type="boolean",
            title="Dry run",
            description="Show what would change, without changing it.",
        ),
    }


class RollbackOperator(CommandOperator):
    """Roll back the served tables, the model, or both, in the name of the person who triggered the
    run.

    The log ends with what changed, or would change, and with what is served. The same form twice
    changes nothing more.
    """

    ui_color = "#fce8e6"

    def execute(self, context: Context) -> None:
        """Raises StepFailed or PermanentFailure."""
        form, run = context["params"], context["dag_run"]
        day = str(day_of(context)) if run.partition_key or form["date"] else ""
        to = [f"--to={form['to']}"] if form["to"] else []
        # After an equals sign, a name or a reason that starts with a dash is still a value.
        self.command(
            f"{form['pipeline']}/rollback {day}".rstrip(),
            [
                "rollback",
                form["pipeline"],
                *(["--date", day] if day else []),
                "--what",
                form["what"],
                *to,
                f"--reason={form['reason']}",
                f"--by={run.triggering_user_name or 'airflow'}",
                "--dry-run" if form["dry_run"] else "--no-dry-run",
            ],
        )
        self.command(f"{form['pipeline']} served", ["served", form["pipeline"]])


def rollback() -> RollbackOperator:
    return RollbackOperator(
        task_id="rollback",
        execution_timeout=STEPS["rollback"].timeout,
        retry_policy=RETRY_POLICY,
        doc_md=f"{getdoc(RollbackOperator)}\n\n{runbook('rollback')}",
    )
