"""What nightly DAGs share: schedule, form, defaults, and the tasks that are not steps."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from inspect import getdoc
from typing import TYPE_CHECKING, Any, TypedDict

from airflow.sdk import BaseOperator, BaseSensorOperator, CronPartitionTimetable, Param, TriggerRule
from airflow.sdk.api.datamodels._generated import DagRunState
from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert
from airflow.sdk.exceptions import AirflowException, AirflowRuntimeError

from jobs.core import schedule
from jobs.core.settings import load
from nightshift.alerts import parameters, report_failure, report_late
from nightshift.dates import day_of
from nightshift.deadlines import RunCreated
from nightshift.steps import nights
from nightshift.timetable import ByHand
from nightshift.triage import advice, runbook

if TYPE_CHECKING:
    from airflow.sdk import Context

BAD = ("failed", "upstream_failed")
OVER = ("success", "skipped", *BAD)
IN_PROGRESS = (DagRunState.QUEUED.value, DagRunState.RUNNING.value)
START_HOUR = 2


class DagArguments(TypedDict, total=False):
    """The arguments of a DAG that differ from Airflow's defaults."""

    schedule: CronPartitionTimetable | ByHand | None
    catchup: bool
    default_args: dict[str, object]
    max_active_runs: int
    tags: list[str]
    deadline: DeadlineAlert
    params: dict[str, Param]


def nightly(pipeline: str) -> DagArguments:
    """The arguments of a pipeline's DAG: it runs at 02:00 UTC for the day that has just ended."""
    return daily(f"0 {START_HOUR} * * *") | {
        # Several days may ingest at once; after that, each day waits for the day before.
        "max_active_runs": 3,
        "tags": ["nightly", pipeline],
        "deadline": deadline(
            pipeline, timedelta(hours=parameters().published_by_hour - START_HOUR)
        ),
        "params": {
            "date": date_field(),
            "steps": Param(
                "night",
                enum=["night", "ingest"],
                title="Steps",
                description="`ingest` stops after build_features, for days that later nights only "
                "look back on.",
            ),
            "force": Param(
                False,
                type="boolean",
                title="Force",
                description="Run a date that is far from every day in the source and the lake.",
            ),
        },
    }


def daily(at: str) -> DagArguments:
    """The arguments of a scheduled DAG: it runs at `at` (cron, UTC), for the day before."""
    return {
        "schedule": timetable(at),
        # No start date: the first night is the next one, not one before the platform was set up.
        # On-call decides about missed nights: docs/runbook.md#nights-are-missing.
        "catchup": False,
        "default_args": {
            "owner": "nightshift",
            # The night that is further ahead goes first: it ends sooner, and no other ends later.
            "weight_rule": "upstream",
            "retries": 3,
            # Starts at core.default_task_retry_delay, and grows up to core.max_task_retry_delay.
            "retry_exponential_backoff": 2.0,
            "on_failure_callback": report_failure,
        },
    }


def timetable(at: str) -> CronPartitionTimetable | ByHand:
    """One partition per day that has ended. Airflow starts no run if the schedule is off."""
    kind = ByHand if schedule.off(load()) else CronPartitionTimetable
    return kind(
        at,
        timezone="UTC",
        run_offset=-1,
        key_format="%Y-%m-%d",
        # With False, Airflow 3.3 starts a new DAG with the last run if that was due less than a
        # tenth of a day ago: a platform set up at 03:00 would run a night that nobody asked for.
        run_immediately=timedelta(0),
    )


def deadline(pipeline: str, interval: timedelta) -> DeadlineAlert:
    """An alert if a run is still in progress after the interval and its day is not served."""
    return DeadlineAlert(
        name="published",
        reference=RunCreated(),
        interval=interval,
        callback=AsyncCallback(report_late, kwargs={"pipeline": pipeline}),
    )


def date_field(
    description: str = "UTC day to run, YYYY-MM-DD. Leave it empty if the run has a partition key.",
) -> Param:
    """The field of the form for the day of a manual run."""
    return Param(
        None, type=["null", "string"], format="date", title="Date", description=description
    )


class DayBefore(BaseSensorOperator):
    """Wait until a task of the run of D-1 has ended, in any state.

    It does not wait if no run of D-1 is in progress; the steps report what they miss.
    """

    def __init__(self, *, pipeline: str, until: str, **kwargs: Any) -> None:
        super().__init__(inlets=[nights(pipeline)], **kwargs)
        self.pipeline, self.until = pipeline, until

    def poke(self, context: Context) -> bool:
        day = day_of(context) - timedelta(days=1)
        run_id = str(context["asset_state_store"][nights(self.pipeline)].get(str(day), ""))
        state = _state(context, run_id) if run_id else "unknown"
        if state not in IN_PROGRESS:
            self.log.info("the run of %s is %s", day, state)
            return True
        ti = context["ti"]
        task = ti.get_task_states(ti.dag_id, run_ids=[run_id])[run_id].get(self.until)
        self.log.info("the run of %s is %s, its %s %s", day, state, self.until, task)
        return task in OVER


class Watcher(BaseOperator):
    """Fails the run if any task failed. Without it, a run with a failed training would be green."""

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
    """A wait in reschedule mode, so that it takes no slot from the run that it waits for."""
    return DayBefore(
        task_id=task_id,
        pipeline=pipeline,
        until=until,
        mode="reschedule",
        poke_interval=10,
        timeout=timedelta(hours=6).total_seconds(),
        execution_timeout=timedelta(minutes=5),
        doc_md=f"{getdoc(DayBefore)} The task is `{until}`.\n\n{runbook(task_id)}",
    )


def watcher() -> Watcher:
    return Watcher(
        task_id="watcher",
        trigger_rule=TriggerRule.ALL_DONE,
        retries=0,
        execution_timeout=timedelta(minutes=5),
        doc_md=f"{getdoc(Watcher)}\n\n{runbook('watcher')}",
    )


def _served(context: Context, states: Mapping[str, str | None]) -> str:
    """What this run's result means for readers."""
    day = day_of(context)
    if states.get("publish") != "success":
        return f"The tables of {day} were not published. Readers still have the previous version."
    ti = context["ti"]
    model = (ti.xcom_pull(task_ids="publish") or {}).get("model") or ""
    trained = (ti.xcom_pull(task_ids="train") or {}).get("model")
    scorer = (
        "the challenger of this night" if model and model == trained else "the previous champion"
    )
    return f"The tables of {day} are still published, scored by {scorer} (model {model[:12]})."


def _state(context: Context, run_id: str) -> str:
    try:
        return DagRunState(context["ti"].get_dagrun_state(context["ti"].dag_id, run_id)).value
    except AirflowRuntimeError as error:
        if (error.error.detail or {}).get("status_code") == HTTPStatus.NOT_FOUND:
            return "deleted"
        raise
