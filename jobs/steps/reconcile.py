"""reconcile: bring Redis and the MLflow aliases in line with PostgreSQL, even if they are empty."""

from __future__ import annotations

from contextlib import AbstractContextManager

from jobs.core.facts import Reconciled, ReconcileFacts
from jobs.core.manifest import utc_now
from jobs.core.params import PublishParams
from jobs.serving import promotions, publications, retention, stores
from jobs.serving.stores import Serving
from jobs.steps.frame import Phases, Result, Staged, Step, unchanged
from jobs.steps.promote import move_aliases
from jobs.usecases.discovery import find_usecase


def read(step: Step) -> Serving:
    return step.open(serving(step))


def serving(step: Step) -> AbstractContextManager[Serving]:
    """Both serving stores."""
    pipeline, settings = step.run.pipeline, step.settings
    predictions = find_usecase(pipeline).predictions
    return stores.connect_serving_stores(settings.postgres, settings.redis, pipeline, predictions)


def stage(step: Step, both: Serving) -> Staged:
    def swap() -> Result:
        params = step.params(PublishParams)
        # A person asked for it, so check every key, not only the mark of a complete version.
        reconciled = reconcile(step, both, params.redis_batch, thorough=True)
        dropped, complete = retention.retain(
            both.session, both.pipeline, both.tables, params, utc_now()
        )
        waits = "" if complete else retention.WAITS
        return Result(ReconcileFacts(dropped=dropped, retention=waits, **dict(reconciled)))

    return Staged(swap)


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


PHASES = Phases(read, unchanged, stage)
