"""rollback: return the served tables, the model, or both, to an earlier version, with a reason.

Options: what (tables, model, both), to (a version, or a model by digest or number; None for the
previous one), reason, by, dry_run (show what would change, and change nothing).
"""

from __future__ import annotations

from pydantic import TypeAdapter

from jobs.core.facts import Reconciled, RollbackFacts
from jobs.core.failpoint import failpoint
from jobs.core.manifest import utc_now
from jobs.serving import promotions, rollback, stores
from jobs.serving.rollback import RollbackPlan, RollbackRequest
from jobs.steps.frame import Step
from jobs.steps.reconcile import reconcile
from jobs.stores import redis
from jobs.usecases.discovery import find_usecase


def run(step: Step) -> None:
    dsn, pipeline = step.settings.postgres, step.run.pipeline
    dry_run = bool(step.options.get("dry_run"))
    request = _request(step)
    step.at("window")
    with stores.connect(
        dsn, step.settings.redis, pipeline, find_usecase(pipeline).predictions
    ) as both:
        step.at("read")
        step.at("compute")
        plan = rollback.plan(both, dsn, request)
        step.at("stage")
        step.at("check")
        step.at("swap")
        if dry_run:
            step.facts = _facts(request, plan)
            return
        withdrawn = rollback.carry_out(both, request, plan, utc_now())
        failpoint("rollback.after_flip")
        step.facts = _facts(request, plan, withdrawn, reconcile(step, both, redis.BATCH))
    step.model_digest = promotions.history(dsn, pipeline).pair[0]


def _facts(
    request: RollbackRequest,
    plan: RollbackPlan,
    withdrawn: list[str] | None = None,
    reconciled: Reconciled | None = None,
) -> RollbackFacts:
    """The facts of a rollback; `withdrawn` None: a dry run."""
    return RollbackFacts(
        version=plan.tables.version if plan.tables else None,
        left_version=plan.served.version if plan.tables and plan.served else None,
        model=plan.model.digest if plan.model else None,
        left_model=plan.champion.digest if plan.model and plan.champion else None,
        dry_run=withdrawn is None,
        what=request.what,
        reason=request.reason,
        withdrawn=withdrawn,
        **dict(reconciled or {}),
    )


def _request(step: Step) -> RollbackRequest:
    options = {name: value for name, value in step.options.items() if name != "dry_run"}
    return TypeAdapter(RollbackRequest).validate_python(
        {"date": step.run.date, "reason": "", **options}
    )
