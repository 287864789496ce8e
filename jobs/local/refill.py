"""Reload served versions that Redis lost from PostgreSQL, after a start of Redis."""

from __future__ import annotations

from collections.abc import Callable

from jobs.core import locks
from jobs.core.errors import NightshiftError
from jobs.core.manifest import utc_now
from jobs.core.pipelines import PIPELINES
from jobs.serving import stores
from jobs.stores import postgres
from jobs.usecases.discovery import find_usecase


def refill(dsn: str, redis_url: str, progress: Callable[[str, str], None]) -> None:
    """Bring Redis in line with PostgreSQL for every served pipeline; report to `progress`.

    A failure does not stop the services: the next publish reloads Redis too.
    """
    for pipeline in _serving(dsn):
        try:
            # The holder of the lock publishes or rolls back, and updates Redis itself.
            with locks.hold(dsn, pipeline, "nightshift up", wait=0):
                loaded = _bring(dsn, redis_url, pipeline)
        except NightshiftError as error:
            why = f": {error.why}" if error.why else ""
            progress("redis", f"not compared with PostgreSQL for {pipeline}: {error.what}{why}")
            continue
        if loaded:
            progress("redis", f"loaded {', '.join(loaded)} of {pipeline} from PostgreSQL")


def _serving(dsn: str) -> list[str]:
    with postgres.connect_postgres(dsn, "nightshift up") as session, session.cursor() as cursor:
        cursor.execute("SELECT to_regclass('served') IS NOT NULL")
        if cursor.fetchone() == (False,):
            return []
        cursor.execute("SELECT pipeline FROM served WHERE pipeline = ANY(%s)", (list(PIPELINES),))
        return sorted(row[0] for row in cursor.fetchall())


def _bring(dsn: str, redis_url: str, pipeline: str) -> list[str]:
    with stores.connect_serving_stores(
        dsn, redis_url, pipeline, find_usecase(pipeline).predictions
    ) as both:
        return stores.bring_redis_to_postgres(both, utc_now())
