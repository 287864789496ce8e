"""reconcile: bring Redis and the MLflow aliases in line with PostgreSQL, even if they are empty."""

from __future__ import annotations

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
        reconcile(step, both, params.redis_batch, thorough=True)
        dropped, complete = retention.retain(both.session, pipeline, both.tables, params, utc_now())
        step.facts |= {"dropped": dropped} | (
            {}
            if complete
            else {"retention": "a query still reads an expired version; the next run drops it"}
        )


def reconcile(step: Step, both: Serving, batch: int, thorough: bool = False) -> None:
    """Finish the work of killed processes, then bring Redis and the aliases in line with
    PostgreSQL.

    Records what it did in the facts.
    """
    retention.clean_up(both.session, both.pipeline, both.tables)
    if loaded := stores.bring_redis_to_postgres(both, utc_now(), batch, thorough):
        # Normal after a rollback: the previous version is now an older one, which Redis did not
        # hold.
        step.log.info(
            "loaded into Redis from PostgreSQL: served or previous versions", versions=loaded
        )
        step.facts["reloaded"] = loaded
    served = publications.served(both.session, both.pipeline)
    step.facts["served_version"] = served.version if served else None
    if promotions.newest_date(step.settings.postgres, both.pipeline):
        move_aliases(step)
