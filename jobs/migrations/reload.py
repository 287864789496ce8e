"""Redis follows PostgreSQL, so all its migrations are one: load again what it holds, over what is there."""

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
    """Write the documents of the served and the previous version of every pipeline in the layout of this code.

    The pointer does not move, and every key stays readable: a lookup finds a document in the old layout or the new one.
    """
    for pipeline in PIPELINES:
        with (
            schema.connect(settings.postgres) as session,
            redis.connect(settings.redis, pipeline) as keys,
        ):
            for version in keys.versions():
                keys.reload_later(version)
            serving = stores.Serving(pipeline, find_usecase(pipeline).predictions, session, keys)
            with suppress(
                stores.LostTables
            ):  # there is nothing to load from; publishing that day again loads it
                for version in stores.bring_redis_to_postgres(serving, utc_now()):
                    say(f"  {pipeline}: {version} loaded again")
