"""What every nightly DAG has: its schedule, its form, its defaults, and the tasks that are no steps."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus
from inspect import getdoc
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, BaseSensorOperator, CronPartitionTimetable, Param, TriggerRule
from airflow.sdk.api.datamodels._generated import DagRunState
from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert
from airflow.sdk.exceptions import AirflowException, AirflowRuntimeError

from jobs.core import schedule
from jobs.core.settings import load
from nightshift.alerts import known, report_failure, report_late
from nightshift.dates import day_of
from nightshift.deadlines import RunCreated
from nightshift.steps import nights
from nightshift.timetable import ByHand
from nightshift.triage import advice, runbook

if TYPE_CHECKING:
    from airflow.sdk import Context

BAD = ("failed", "upstream_failed")
OVER = ("success", "skipped", *BAD)
UNDER_WAY = (DagRunState.QUEUED.value, DagRunState.RUNNING.value)
START_HOUR = 2


def nightly(pipeline: str) -> dict[str, Any]:
    """The arguments of a pipeline's DAG: at 02:00 UTC the day that has just ended, which is the partition key."""
    return daily(f"0 {START_HOUR} * * *") | {
        # Ingest of several days at once is safe; from there on a day waits for the day before.
        "max_active_runs": 3,
        "tags": ["nightly", pipeline],
        "deadline": deadline(pipeline, timedelta(hours=known().published_by_hour - START_HOUR)),
        "params": {
            "date": date_field(),
            "steps": Param(
                "night",
                enum=["night", "ingest"],
                title="Steps",
                description="`ingest` stops after build_features: for days that later nights look back on.",
            ),
            "force": Param(
                False,
                type="boolean",
                title="Force",
                description="Run a date that is far from every day of the source and the lake.",
            ),
        },
    }


def daily(at: str) -> dict[str, Any]:
    """What every DAG has: runs at this time (cron, UTC), each with the day that has just ended as its partition key."""
    return {
        "schedule": timetable(at),
        # No start date: the first night is the next 02:00, not the one before the platform was set up.
        # Nights that were slept through are a decision, not a reflex: docs/runbook.md#nights-are-missing.
        "catchup": False,
        "default_args": {
            "owner": "nightshift",
            "weight_rule": "upstream",  # a night that has come further goes first: it ends sooner, and no other later
            "retries": 3,
            "retry_exponential_backoff": 2.0,  # on core.default_task_retry_delay, up to core.max_task_retry_delay
            "on_failure_callback": report_failure,
        },
    }


def timetable(at: str) -> CronPartitionTimetable | ByHand:
    """A partition for each day that has ended, run at this time; by hand alone where the schedule of this home is off."""
    kind = ByHand if schedule.off(load()) else CronPartitionTimetable
    return kind(at, timezone="UTC", run_offset=-1, key_format="%Y-%m-%d")


def deadline(pipeline: str, interval: timedelta) -> DeadlineAlert:
    """An alert when a run is still under way after this interval and its day is not served."""
    return DeadlineAlert(
        name="published",
        reference=RunCreated(),
        interval=interval,
        callback=AsyncCallback(report_late, kwargs={"pipeline": pipeline}),
    )


def date_field(
    description: str = "The UTC day to run, YYYY-MM-DD. Leave it empty when the run has a partition key.",
) -> Param:
    """The day of a run by hand, in its form."""
    return Param(
        None, type=["null", "string"], format="date", title="Date", description=description
    )


class DayBefore(BaseSensorOperator):
    """Wait until the run of D-1 that is under way has ended a task, however it ended.

    A day before that is not under way is not waited for; the steps name what they miss.
    """

    def __init__(self, *, pipeline: str, until: str, **kwargs: Any) -> None:
        super().__init__(inlets=[nights(pipeline)], **kwargs)
        self.pipeline, self.until = pipeline, until

    def poke(self, context: Context) -> bool:
        day = day_of(context) - timedelta(days=1)
        run_id = str(context["asset_state_store"][nights(self.pipeline)].get(str(day), ""))
        state = _state(context, run_id) if run_id else "not known"
        if state not in UNDER_WAY:
            self.log.info("the run of %s is %s", day, state)
            return True
        ti = context["ti"]
        task = ti.get_task_states(ti.dag_id, run_ids=[run_id])[run_id].get(self.until)
        self.log.info("the run of %s is %s, its %s %s", day, state, self.until, task)
        return task in OVER


class Watcher(BaseOperator):
    """The last leaf: without it, a run whose training failed and whose tables were published would end green."""

    def execute(self, context: Context) -> None:
        ti = context["ti"]
        states = ti.get_task_states(dag_id=ti.dag_id, run_ids=[ti.run_id])[ti.run_id]
        if failed := [
            task for task, state in states.items() if state in BAD and task != self.task_id
        ]:
            first = ", ".join(task for task in failed if states[task] == "failed")
            raise AirflowException(
                f"{first} failed. {_served(context, states)} {advice('watcher')}"
            )


def day_before(pipeline: str, task_id: str, until: str) -> DayBefore:
    """In reschedule mode: who waits takes no slot from whom it waits for."""
    return DayBefore(
        task_id=task_id,
        pipeline=pipeline,
        until=until,
        mode="reschedule",
        poke_interval=10,
        timeout=timedelta(hours=6).total_seconds(),
        execution_timeout=timedelta(minutes=5),
        doc_md=f"{getdoc(DayBefore)} Here: `{until}`.\n\n{runbook(task_id)}",
    )


def watcher() -> Watcher:
    return Watcher(
        task_id="watcher",
        trigger_rule=TriggerRule.ALL_DONE,
        retries=0,
        execution_timeout=timedelta(minutes=5),
        doc_md=f"{getdoc(Watcher)}\n\n{runbook('watcher')}",
    )


def _served(context: Context, states: dict[str, Any]) -> str:
    """What readers see now, as far as this run decides it."""
    day = day_of(context)
    if states.get("publish") != "success":
        return f"The tables of {day} were not published; readers still have the version before."
    ti = context["ti"]
    model = (ti.xcom_pull(task_ids="publish") or {}).get("model") or ""
    trained = (ti.xcom_pull(task_ids="train") or {}).get("model")
    scorer = (
        "the challenger of this night" if model and model == trained else "the champion there was"
    )
    return (
        f"The tables of {day} are published all the same, scored by {scorer} (model {model[:12]})."
    )


def _state(context: Context, run_id: str) -> str:
    try:
        return DagRunState(context["ti"].get_dagrun_state(context["ti"].dag_id, run_id)).value
    except AirflowRuntimeError as error:
        if (error.error.detail or {}).get("status_code") == HTTPStatus.NOT_FOUND:
            return "deleted"
        raise
