"""Both serving stores of a pipeline, and how they are kept alike: PostgreSQL is the truth, Redis follows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import pyarrow as pa
from psycopg2.extensions import connection

from jobs.core.checks import enforce
from jobs.core.errors import StoreError
from jobs.core.usecase import Table
from jobs.stores import redis
from jobs.stores.serving import partitions, publications, schema
from jobs.stores.serving.publications import Publication, Served

# Clients cache the pointer for a second. The version that a publish pushes out of the pair was read last
# before the publish before it, so it goes at once; what a rollback leaves was served a moment ago and waits
# for the next publish or reconcile.
CLIENT_GRACE = timedelta(seconds=5)


class LostTables(StoreError):
    """Somebody dropped the tables of the served version; publishing its date loads them anew."""


@dataclass(frozen=True)
class Serving:
    """Open sessions on both stores. Whoever writes through it holds the lock on the pipeline."""

    pipeline: str
    tables: tuple[Table, ...]
    session: connection
    redis: redis.Redis

    def kept(self) -> list[Publication]:
        """The versions of which every table that they have is still there, newest date first."""
        held = {t.name: partitions.attached(self.session, self.pipeline, t) for t in self.tables}
        known = publications.every(self.session, self.pipeline)
        return [each for each in known if all(each.version in held.get(name, ()) for name in each.row_counts)]

    def contents(self, publication: Publication) -> dict[Table, pa.Table]:
        """The rows of every table that a version has, from PostgreSQL."""
        return {
            table: partitions.read(self.session, self.pipeline, table, publication.version)
            for table in self.tables
            if table.name in publication.row_counts
        }


@contextmanager
def connect(dsn: str, redis_url: str, pipeline: str, tables: tuple[Table, ...]) -> Iterator[Serving]:
    """Both stores, with the tables and views of the pipeline made where they are missing."""
    with schema.connect(dsn) as session, redis.connect(redis_url, pipeline) as keys:
        schema.ensure(session, pipeline, tables)
        yield Serving(pipeline, tables, session, keys)


def bring_redis_to_postgres(
    serving: Serving, now: datetime, batch: int = redis.BATCH, thorough: bool = False
) -> list[str]:
    """Load into Redis what it lacks of the pair, point it to the served version, drop what has left the pair.

    `thorough` looks for every single key instead of trusting the mark of a complete version. Returns the
    versions that were loaded. While PostgreSQL serves nothing Redis is left as it is.
    """
    served = publications.served(serving.session, serving.pipeline)
    if served is None:
        return []
    loaded = [
        each.version for each in _pair(serving, served) if not _complete(serving, each, batch, thorough)
    ]
    known = {each.version: each for each in serving.kept()}
    for version in loaded:
        load_redis(serving, known[version], batch)
    if serving.redis.served() != served.version:
        serving.redis.point(served.version)
    drop_left(serving, now)
    return loaded


def left(serving: Serving, now: datetime) -> list[str]:
    """The versions of which Redis has keys, and which nobody reads any more: they left the pair CLIENT_GRACE ago.

    None while PostgreSQL serves nothing. What Redis itself points to stays, whatever PostgreSQL says.
    """
    served = publications.served(serving.session, serving.pipeline)
    if served is None:
        return []
    known = publications.every(serving.session, serving.pipeline)
    until = {each.version: each.served_until for each in known}
    read = {*served.pair, serving.redis.served()}
    return [
        version
        for version in sorted(serving.redis.versions() - read)
        if (last := until.get(version)) is None or now - last >= CLIENT_GRACE
    ]


def drop_left(serving: Serving, now: datetime) -> None:
    """Unlink from Redis the versions that are `left`."""
    for version in left(serving, now):
        serving.redis.drop(version)


def load_redis(serving: Serving, publication: Publication, batch: int = redis.BATCH) -> None:
    """Load one version from PostgreSQL; DataError when Redis does not give back what it was given."""
    checks = serving.redis.load(
        publication.version, serving.contents(publication), publication.digests, batch
    )
    enforce(
        checks, remedy="see that Redis evicts nothing (maxmemory-policy noeviction), then run the step again"
    )


def _pair(serving: Serving, served: Served) -> list[Publication]:
    """The served version and the previous one, as far as they are there; StoreError without the served one."""
    found = [each for each in serving.kept() if each.version in served.pair]
    if served.version not in [each.version for each in found]:
        raise LostTables(
            f"the tables of {served.version}, which {serving.pipeline} serves, are gone from PostgreSQL",
            remedy=f"publish {served.date} again, or roll back to a version that is kept",
        )
    return found


def _complete(serving: Serving, publication: Publication, batch: int, thorough: bool) -> bool:
    version = publication.version
    if not serving.redis.complete(version, publication.row_counts, publication.digests):
        return False
    return not thorough or not any(
        serving.redis.missing(version, table, rows, batch)
        for table, rows in serving.contents(publication).items()
    )
