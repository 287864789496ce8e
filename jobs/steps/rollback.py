"""rollback: return the served tables, the model, or both, to an earlier version, with a reason.

Options: what (tables, model, both), to (a version, or a model by digest or number; None for the
previous one), reason, by, dry_run (show what would change, and change nothing).
"""

from __future__ import annotations

from jobs.core.failpoint import failpoint
from jobs.core.manifest import utc_now
from jobs.serving import promotions, rollback, stores
from jobs.steps.frame import Step
from jobs.steps.reconcile import reconcile
from jobs.stores import redis
from jobs.usecases.discovery import find_usecase


def run(step: Step) -> None:
    options, dsn, pipeline = dict(step.options), step.settings.postgres, step.run.pipeline
    dry_run = options.pop("dry_run", False)
    request = rollback.RollbackRequest(step.run.date, **{"reason": "", **options})
    step.at("window")
    with stores.connect(
        dsn, step.settings.redis, pipeline, find_usecase(pipeline).predictions
    ) as both:
        step.at("read")
        step.at("compute")
        plan = rollback.plan(both, dsn, request)
        step.facts |= plan.facts() | {
            "dry_run": dry_run,
            "what": request.what,
            "reason": request.reason,
        }
        step.at("stage")
        step.at("check")
        step.at("swap")
        if dry_run:
            return
        step.facts["withdrawn"] = rollback.carry_out(both, request, plan, utc_now())
        failpoint("rollback.after_flip")
        reconcile(step, both, redis.BATCH)
    step.model_digest = promotions.pair(dsn, pipeline)[0]
