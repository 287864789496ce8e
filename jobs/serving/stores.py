"""Both serving stores of a pipeline, and how they are kept alike: PostgreSQL is the truth, Redis follows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import pyarrow as pa
from psycopg2.extensions import connection

from jobs.core.checks import enforce
from jobs.core.errors import StoreError
from jobs.core.log import logger
from jobs.core.tables import Table
from jobs.serving import partitions, publications, schema
from jobs.serving.publications import Publication, Served
from jobs.stores import redis
from jobs.stores.versions import needed, require

# Clients cache the pointer for a second. The version that a publish pushes out of the pair was read last
# before the publish before it, so it goes at once; what a rollback leaves was served a moment ago and waits
# for the next publish or reconcile.
CLIENT_GRACE = timedelta(seconds=5)


class LostTables(StoreError):
    """Somebody dropped or altered the tables of a version; publishing its date loads them again."""


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
        return [
            each
            for each in known
            if all(each.version in held.get(name, ()) for name in each.row_counts)
        ]

    def contents(self, publication: Publication) -> dict[Table, pa.Table]:
        """The rows of every table that a version has, from PostgreSQL; LostTables when they are not what was published."""
        found = {
            table: partitions.read(self.session, self.pipeline, table, publication.version)
            for table in self.tables
            if table.name in publication.row_counts
        }
        for table, rows in found.items():
            if not table.matches(rows, publication.digests[table.name]):
                raise LostTables(
                    f"{table.name} of {publication.version} in PostgreSQL is not what was published: somebody altered it",
                    remedy=f"publish {publication.date} again, which loads it again, or roll back to another version",
                    input=f"{self.pipeline}.{schema.partition_name(table, publication.version)}",
                )
        return found


@contextmanager
def connect(
    dsn: str, redis_url: str, pipeline: str, tables: tuple[Table, ...]
) -> Iterator[Serving]:
    """Both stores, with the tables and views of the pipeline made where they are missing.

    ConfigError when the schema of one is older or newer than this code's.
    """
    with schema.connect(dsn) as session, redis.connect(redis_url, pipeline) as keys:
        schema.ensure(session, pipeline, tables)
        if (number := keys.schema_version()) is None:
            keys.set_schema_version(needed("redis"))
        else:
            require("redis", number)
        yield Serving(pipeline, tables, session, keys)


def bring_redis_to_postgres(
    serving: Serving, now: datetime, batch: int = redis.BATCH, thorough: bool = False
) -> list[str]:
    """Load into Redis what it lacks of the pair, point it to the served version, drop what has left the pair.

    `thorough` compares every document instead of trusting the mark of a complete version. Returns the
    versions that were loaded. While PostgreSQL serves nothing Redis is left as it is. LostTables when
    PostgreSQL has lost the served version itself; a previous version that it has lost is passed over.
    """
    served = publications.served(serving.session, serving.pipeline)
    if served is None:
        return []
    loaded = []
    for each in _pair(serving, served):
        try:
            if (
                prepare_redis(serving, each, batch)
                if thorough
                else _load_incomplete(serving, each, batch)
            ):
                loaded.append(each.version)
        except LostTables as error:
            if each.version == served.version:
                raise
            logger(pipeline=serving.pipeline).warning("there is no going back", error=str(error))
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


def prepare_redis(serving: Serving, publication: Publication, batch: int = redis.BATCH) -> bool:
    """Before a flip to a version: every document of it is in Redis; loads it again unless it is. Whether it did.

    LostTables when PostgreSQL itself does not hold what was published.
    """
    contents = serving.contents(publication)
    serving.redis.refuse_eviction()
    if _marked(serving, publication) and not any(
        serving.redis.differing(publication.version, table, rows, batch)
        for table, rows in contents.items()
    ):
        return False
    _load(serving, publication, contents, batch)
    return True


def _load_incomplete(serving: Serving, publication: Publication, batch: int) -> bool:
    """Load one version unless it is marked as complete; whether it was loaded."""
    if _marked(serving, publication):
        return False
    _load(serving, publication, serving.contents(publication), batch)
    return True


def _load(
    serving: Serving, publication: Publication, contents: Mapping[Table, pa.Table], batch: int
) -> None:
    """DataError when Redis does not give back what it was given."""
    checks = serving.redis.load(publication.version, contents, publication.digests, batch)
    enforce(
        checks,
        remedy="see that Redis evicts nothing (maxmemory-policy noeviction), then run the step again",
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


def _marked(serving: Serving, publication: Publication) -> bool:
    """Whether Redis was given the version to its end. Keys may have been lost since."""
    return serving.redis.complete(publication.version, publication.row_counts, publication.digests)
