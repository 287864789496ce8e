"""rollback: return the served tables, the model, or both, to an earlier version, with a reason.

Options: what (tables, model, both), to (a version, or a model by digest or number; None for the
previous one), reason, by, dry_run (show what would change, and change nothing).
"""

from __future__ import annotations

from pydantic import TypeAdapter

from jobs.core.facts import Reconciled, RollbackFacts
from jobs.core.failpoint import failpoint
from jobs.core.manifest import utc_now
from jobs.serving import promotions, rollback
from jobs.serving.rollback import RollbackPlan, RollbackRequest
from jobs.serving.stores import Serving
from jobs.steps.frame import Phases, Result, Staged, Step, unchanged
from jobs.steps.reconcile import reconcile, serving
from jobs.stores import redis


def read(step: Step) -> tuple[Serving, RollbackRequest, RollbackPlan]:
    request, both = _request(step), step.open(serving(step))
    return both, request, rollback.plan(both, step.settings.postgres, request)


def stage(step: Step, planned: tuple[Serving, RollbackRequest, RollbackPlan]) -> Staged:
    both, request, plan = planned

    def swap() -> Result:
        if step.options.get("dry_run"):
            return Result(_facts(request, plan))
        withdrawn = rollback.carry_out(both, request, plan, utc_now())
        failpoint("rollback.after_flip")
        facts = _facts(request, plan, withdrawn, reconcile(step, both, redis.BATCH))
        champion, _ = promotions.read(both.session, both.pipeline).pair
        return Result(facts, model_digest=champion)

    return Staged(swap)


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


PHASES = Phases(read, unchanged, stage)
