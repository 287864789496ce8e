"""freshness: check that both stores serve all of D, or of a later day, as a client reads it."""

from __future__ import annotations

import time
from datetime import date

from jobs.core.checks import Check, failed
from jobs.core.facts import FreshnessFacts
from jobs.core.params import FreshnessParams
from jobs.serving import schema
from jobs.serving.freshness import BEHIND, Clients
from jobs.serving.publications import Served
from jobs.steps.frame import Phases, Requirement, Result, Staged, Step, unchanged
from jobs.stores import redis
from jobs.usecases.discovery import find_usecase

# PostgreSQL's pointer moves first and Redis' right after it; clients cache theirs for a second.
_SETTLE_SECONDS = 2.0


def read(step: Step) -> tuple[Served | None, list[Check]]:
    params = step.params(FreshnessParams)
    served, checks = _look(step, params)
    if not all(check.passed for check in checks):
        time.sleep(_SETTLE_SECONDS)  # the pointers may have moved between the two reads
        served, checks = _look(step, params)
    return served, checks


def stage(step: Step, looked: tuple[Served | None, list[Check]]) -> Staged:
    served, checks = looked
    facts = FreshnessFacts(
        serves=served.version if served else None,
        date=str(served.date) if served else None,
        checks=len(checks),
        passed=sum(check.passed for check in checks),
    )
    remedy = _remedy(step.run.pipeline, step.run.date, checks)
    return Staged(lambda: Result(facts), lambda: [Requirement(checks, remedy)])


def _look(step: Step, params: FreshnessParams) -> tuple[Served | None, list[Check]]:
    """Read both stores; PostgreSQL in one snapshot, so that Redis may be one flip ahead."""
    pipeline = step.run.pipeline
    with (
        schema.connect_serving_database(
            step.settings.postgres, f"nightshift freshness {pipeline}"
        ) as session,
        redis.connect_redis(step.settings.redis, pipeline) as keys,
        session,
    ):
        with session.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        clients = Clients(pipeline, find_usecase(pipeline).predictions, session, keys)
        return clients.look(step.run.date, params.sample, params.severity)


def _remedy(pipeline: str, day: date, checks: list[Check]) -> str:
    if any(check.name == BEHIND for check in failed(checks)):
        return (
            f"look at the run of {day} in Airflow: fix and clear the red task, or trigger {day} if "
            "there is no run (docs/runbook.md#the-day-is-not-served)"
        )
    return (
        f"nightshift reconcile --pipeline {pipeline} --date {day}; if that does not help, publish "
        f"{day} again"
    )


PHASES = Phases(read, unchanged, stage)
