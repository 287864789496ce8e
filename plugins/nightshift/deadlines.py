"""The reference of a deadline: the time at which the run was created.

Do not use Airflow's `DAGRUN_QUEUED_AT`: while such a deadline is pending, every Clear of its run
answers HTTP 500 (apache/airflow#70368; a strict xfail in tests/scheduler/test_buttons.py fails once
that is fixed).
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow.listeners import hookimpl
from airflow.sdk.definitions.deadline import BaseDeadlineReference

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

log = logging.getLogger(__name__)


class RunCreated(BaseDeadlineReference):
    """The time at which the run was created. A Clear does not change when the day is due."""

    def _evaluate_with(self, *, session: Session, **_: object) -> datetime:
        """Now: Airflow calls this once, when it creates the run."""
        del session
        return datetime.now(UTC)


class ClearableRuns:
    """When Airflow starts, gives `RunCreated` to deadlines of runs that an earlier release created.

    Without it, those runs could not be cleared.
    """

    @hookimpl
    def on_starting(self, component: object) -> None:
        """Only for the scheduler, the triggerer and the dag-processor; a task may not use the
        database.
        """
        if type(component).__name__ != "Job":
            return
        from airflow.utils.session import create_session
        from sqlalchemy.exc import SQLAlchemyError

        try:
            with create_session() as session:
                changed = replace_queued_at(session)
                rename_callbacks(session)
        except SQLAlchemyError:  # other listeners are called after this one
            log.exception(
                "the deadlines of an earlier release were not changed; the next start tries again"
            )
        else:
            log.info(
                "%d deadlines of an earlier release now count from the creation of their run",
                changed,
            )


def replace_queued_at(session: Session) -> int:
    """Give our alerts with the reference `DAGRUN_QUEUED_AT` the reference `RunCreated`.

    Returns how many changed. Alerts of other DAGs stay as they are.
    """
    from airflow.models.deadline_alert import DeadlineAlert
    from airflow.serialization.encoders import encode_deadline_reference
    from sqlalchemy import select

    alerts = [
        alert
        for alert in session.scalars(select(DeadlineAlert))
        if alert.reference.get("reference_type") == "DagRunQueuedAtDeadline"
        and "alerts.report_late" in str(alert.callback_def)
    ]
    for alert in alerts:
        alert.reference = encode_deadline_reference(RunCreated())
    return len(alerts)


def rename_callbacks(session: Session) -> int:
    """Rename our module in callbacks of an earlier release that Airflow has not started.

    Returns how many changed.
    """
    from airflow.models.callback import Callback
    from airflow.utils.state import CallbackState
    from sqlalchemy import select

    waiting = select(Callback).where(
        Callback.state.in_([CallbackState.SCHEDULED, CallbackState.PENDING])
    )
    renamed = [
        callback
        for callback in session.scalars(waiting)
        if callback.data.get("path") == "nightshift_alerts.report_late"
    ]
    for callback in renamed:
        callback.data = callback.data | {"path": "nightshift.alerts.report_late"}
    return len(renamed)
