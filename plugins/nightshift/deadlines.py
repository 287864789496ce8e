"""The moment from which a deadline counts: the creation of the run.

Airflow's own `DAGRUN_QUEUED_AT` must not be used: while such a deadline is pending, every Clear of its run answers
HTTP 500 (apache/airflow#70368; a strict xfail of tests/scheduler/test_buttons.py ends once that is fixed).
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.listeners import hookimpl
from airflow.sdk.definitions.deadline import BaseDeadlineReference

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

log = logging.getLogger(__name__)


class RunCreated(BaseDeadlineReference):
    """The creation of the run. A Clear does not move it: the day is promised for the same hour."""

    def _evaluate_with(self, *, session: Session, **_: Any) -> datetime:
        """Now, since Airflow asks once, when it creates the run."""
        del session
        return datetime.now(UTC)


class ClearableRuns:
    """Runs that an earlier release created can be cleared: their deadlines get this reference when Airflow starts."""

    @hookimpl
    def on_starting(self, component: Any) -> None:
        """Of the scheduler, the triggerer and the dag-processor; a task, which calls this too, may not use the database."""
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
                "The deadlines of an earlier release were not changed. The next start tries again."
            )
        else:
            log.info(
                "%d deadlines of an earlier release count from the creation of their run now",
                changed,
            )


def replace_queued_at(session: Session) -> int:
    """The number of our alerts whose reference was `DAGRUN_QUEUED_AT` and is `RunCreated` now; other DAGs' are left alone."""
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
    """The number of pending callbacks that named a module of an earlier release and name ours now."""
    from airflow.models.callback import Callback
    from sqlalchemy import select

    pending = [
        callback
        for callback in session.scalars(select(Callback))
        if callback.data.get("path") == "nightshift_alerts.report_late"
    ]
    for callback in pending:
        callback.data = callback.data | {"path": "nightshift.alerts.report_late"}
    return len(pending)
