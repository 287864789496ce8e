"""reconcile: bring Redis and the MLflow aliases in line with PostgreSQL, even if they are empty."""

from __future__ import annotations

from jobs.core.facts import Reconciled, ReconcileFacts
from jobs.core.manifest import utc_now
from jobs.core.params import PublishParams
from jobs.serving import promotions, publications, retention, stores
from jobs.serving.stores import Serving
from jobs.steps.frame import Step
from jobs.steps.promote import move_aliases
from jobs.usecases.discovery import find_usecase


def run(step: Step) -> None:
    params = step.params(PublishParams)
    pipeline = step.run.pipeline
    step.at("window")
    with stores.connect(
        step.settings.postgres, step.settings.redis, pipeline, find_usecase(pipeline).predictions
    ) as both:
        step.at("read")
        step.at("compute")
        step.at("stage")
        step.at("check")
        step.at("swap")
        # A person asked for it, so check every key, not only the mark of a complete version.
        reconciled = reconcile(step, both, params.redis_batch, thorough=True)
        dropped, complete = retention.retain(both.session, pipeline, both.tables, params, utc_now())
    step.facts = ReconcileFacts(
        dropped=dropped,
        retention="" if complete else retention.WAITS,
        **dict(reconciled),
    )


def reconcile(step: Step, both: Serving, batch: int, thorough: bool = False) -> Reconciled:
    """Finish the work of killed processes, then bring Redis and the aliases in line with
    PostgreSQL. Returns what it did.
    """
    retention.clean_up(both.session, both.pipeline, both.tables)
    if loaded := stores.bring_redis_to_postgres(both, utc_now(), batch, thorough):
        # Normal after a rollback: the previous version is now an older one, which Redis did not
        # hold.
        step.log.info(
            "loaded into Redis from PostgreSQL: served or previous versions", versions=loaded
        )
    served = publications.served(both.session, both.pipeline)
    history = promotions.read(both.session, both.pipeline)
    return Reconciled(
        reloaded=loaded,
        served_version=served.version if served else None,
        aliases=move_aliases(step, history) if history else "",
    )
