"""Both serving stores of a pipeline in sync: PostgreSQL is authoritative, Redis follows."""

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

# Clients cache the pointer for a second. A publish drops the version before the previous one at
# once, since clients stopped reading it a publish ago. A version that a rollback leaves was served
# just now, so it waits for the next publish or reconcile.
CLIENT_GRACE = timedelta(seconds=5)


class LostTables(StoreError):
    """The tables of a version are gone or altered; publishing its date loads them again."""


@dataclass(frozen=True)
class Serving:
    """Open sessions on both stores; every writer holds the lock on the pipeline."""

    pipeline: str
    tables: tuple[Table, ...]
    session: connection
    redis: redis.Redis

    def kept(self) -> list[Publication]:
        """Return the versions that still have all their tables, newest date first."""
        held = {t.name: partitions.attached(self.session, self.pipeline, t) for t in self.tables}
        return [
            publication
            for publication in publications.every(self.session, self.pipeline)
            if all(publication.version in held.get(name, ()) for name in publication.row_counts)
        ]

    def contents(self, publication: Publication) -> dict[Table, pa.Table]:
        """Return the rows of every table of a version, from PostgreSQL.

        LostTables if they differ.
        """
        contents = {
            table: partitions.read(self.session, self.pipeline, table, publication.version)
            for table in self.tables
            if table.name in publication.row_counts
        }
        for table, rows in contents.items():
            if not table.matches(rows, publication.digests[table.name]):
                raise LostTables(
                    f"{table.name} of {publication.version} in PostgreSQL is not what was "
                    "published: somebody altered it",
                    remedy=f"publish {publication.date} again, which reloads it, "
                    "or roll back to another version",
                    input=f"{self.pipeline}.{schema.partition_name(table, publication.version)}",
                )
        return contents


@contextmanager
def connect_serving_stores(
    dsn: str, redis_url: str, pipeline: str, tables: tuple[Table, ...]
) -> Iterator[Serving]:
    """Open both stores, and create missing tables and views of the pipeline.

    ConfigError if the schema of a store is older or newer than this code's.
    """
    with (
        schema.connect_serving_database(dsn) as session,
        redis.connect_redis(redis_url, pipeline) as keys,
    ):
        schema.ensure(session, pipeline, tables)
        if (number := keys.schema_version()) is None:
            keys.set_schema_version(needed("redis"))
        else:
            require("redis", number)
        yield Serving(pipeline, tables, session, keys)


def bring_redis_to_postgres(
    serving: Serving, now: datetime, batch: int = redis.BATCH, thorough: bool = False
) -> list[str]:
    """Bring Redis in line with PostgreSQL; return the versions that were loaded.

    Load the served and previous versions if they are incomplete, move the pointer, and drop old
    versions. `thorough` compares every document instead of trusting the mark of a complete version.
    While PostgreSQL serves nothing, Redis is not changed. LostTables if PostgreSQL has lost the
    served version; a lost previous version is skipped.
    """
    served = publications.served(serving.session, serving.pipeline)
    if served is None:
        return []
    loaded = []
    load = prepare_redis if thorough else _load_incomplete
    for publication in _pair(serving, served):
        try:
            if load(serving, publication, batch):
                loaded.append(publication.version)
        except LostTables as error:
            if publication.version == served.version:
                raise
            logger(pipeline=serving.pipeline).warning(
                "the previous version is lost, so a rollback cannot restore it", error=str(error)
            )
    if serving.redis.served() != served.version:
        serving.redis.point(served.version)
    drop_left(serving, now)
    return loaded


def left(serving: Serving, now: datetime) -> list[str]:
    """Return the versions in Redis that no client reads any more.

    They stopped being served at least CLIENT_GRACE ago. [] while PostgreSQL serves nothing. The
    version that Redis points to is never one of them.
    """
    served = publications.served(serving.session, serving.pipeline)
    if served is None:
        return []
    versions = publications.every(serving.session, serving.pipeline)
    until = {publication.version: publication.served_until for publication in versions}
    read = {*served.pair, serving.redis.served()}
    return [
        version
        for version in sorted(serving.redis.versions() - read)
        if (last := until.get(version)) is None or now - last >= CLIENT_GRACE
    ]


def drop_left(serving: Serving, now: datetime) -> None:
    """Unlink from Redis the versions that `left` returns."""
    for version in left(serving, now):
        serving.redis.drop(version)


def prepare_redis(serving: Serving, publication: Publication, batch: int = redis.BATCH) -> bool:
    """Make sure that Redis has every document of a version; return whether it had to be loaded.

    LostTables if PostgreSQL does not have what was published.
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
    """Load one version unless it is marked as complete; return whether it was loaded."""
    if _marked(serving, publication):
        return False
    _load(serving, publication, serving.contents(publication), batch)
    return True


def _load(
    serving: Serving, publication: Publication, contents: Mapping[Table, pa.Table], batch: int
) -> None:
    """Load a version into Redis; DataError if it does not read back equal."""
    checks = serving.redis.load(publication.version, contents, publication.digests, batch)
    enforce(
        checks,
        remedy="set maxmemory-policy of Redis to noeviction, then run the step again",
    )


def _pair(serving: Serving, served: Served) -> list[Publication]:
    """Return the served and the previous version, if kept; LostTables without the served one."""
    pair = [publication for publication in serving.kept() if publication.version in served.pair]
    if served.version not in [publication.version for publication in pair]:
        raise LostTables(
            f"the tables of {served.version}, which {serving.pipeline} serves, "
            "are gone from PostgreSQL",
            remedy=f"publish {served.date} again, or roll back to a version that is kept",
        )
    return pair


def _marked(serving: Serving, publication: Publication) -> bool:
    """Whether the version was loaded completely into Redis; keys may have been lost since."""
    return serving.redis.complete(publication.version, publication.row_counts, publication.digests)
