"""The migration of Redis, always the same since it follows PostgreSQL: reload its versions."""

from __future__ import annotations

from contextlib import suppress

from jobs.core.manifest import utc_now
from jobs.core.pipelines import PIPELINES
from jobs.core.settings import Settings
from jobs.migrations.types import Say
from jobs.serving import schema, stores
from jobs.stores import redis
from jobs.usecases.discovery import find_usecase


def reload(settings: Settings, say: Say) -> None:
    """Rewrite the served and previous version of every pipeline in the layout of this code.

    The pointer does not move, and every key stays readable: a lookup returns a document in the old
    or the new layout.
    """
    for pipeline in PIPELINES:
        with (
            schema.connect_serving_database(settings.postgres) as session,
            redis.connect_redis(settings.redis, pipeline) as keys,
        ):
            for version in keys.versions():
                keys.reload_later(version)
            serving = stores.Serving(pipeline, find_usecase(pipeline).predictions, session, keys)
            # Without tables in PostgreSQL, publishing that day again loads the version.
            with suppress(stores.LostTables):
                for version in stores.bring_redis_to_postgres(serving, utc_now()):
                    say(f"  {pipeline}: {version} loaded again")
