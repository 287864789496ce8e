"""What goes, and how: DETACH CONCURRENTLY, then DROP, so that no lookup ever waits behind it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from psycopg2.errors import LockNotAvailable
from psycopg2.extensions import connection
from psycopg2.sql import SQL

from jobs.core.failpoint import failpoint
from jobs.core.log import logger
from jobs.core.params import PublishParams
from jobs.core.tables import Table
from jobs.serving import partitions, publications
from jobs.serving.publications import Publication, Served
from jobs.serving.schema import parent, partition

GRACE = timedelta(
    seconds=60
)  # a statement that began while a version was in the pair may still read it
_LOCK_TIMEOUT = "5s"


def expired(
    table: Table, kept: Sequence[Publication], served: Served, params: PublishParams, now: datetime
) -> list[Publication]:
    """Which of the versions `kept` of one table go; `kept` is newest first.

    Entity tables keep the newest `keep_versions`. Event tables keep the current version of every date of
    the last `keep_days` up to the served one, and the newest `keep_versions` of the others. Served and
    previous never go, nor what left that pair less than GRACE before `now`.
    """
    first = served.date - timedelta(days=params.keep_days)
    if table.kind == "event":
        live = [each for each in kept if each.state in ("ready", "current") and each.date >= first]
        rest = [each for each in kept if each not in live and each.date >= first]
        staying = [*live, *rest[: params.keep_versions]]
    else:
        staying = list(kept[: params.keep_versions])
    return [each for each in kept if each not in staying and _free(each, served, now)]


def half_done(session: connection, pipeline: str, tables: Sequence[Table]) -> list[str]:
    """What `clean_up` would end: `publication@<version>` of half loads, `<table>@<version>` of half loads and half drops."""
    known = publications.every(session, pipeline)
    loading = [f"publication@{each.version}" for each in known if each.state == "loading"]
    return loading + [
        f"{table.name}@{version}"
        for table in tables
        for version in sorted(
            partitions.half_detached(session, pipeline, table)
            | partitions.loose(session, pipeline, table)
        )
    ]


def due(
    session: connection,
    pipeline: str,
    tables: Sequence[Table],
    params: PublishParams,
    now: datetime,
) -> dict[Table, list[Publication]]:
    """What `retain` would drop of each table; nothing while nothing is served."""
    served = publications.served(session, pipeline)
    if served is None:
        return {}
    known = publications.every(session, pipeline)
    held = {table: partitions.attached(session, pipeline, table) for table in tables}
    kept = {table: [each for each in known if each.version in held[table]] for table in tables}
    return {table: expired(table, kept[table], served, params, now) for table in tables}


def clean_up(session: connection, pipeline: str, tables: Sequence[Table]) -> bool:
    """Finish what a killed process left: half loads and half drops. False when a lock was in the way."""
    publications.forget_loading(session, pipeline)
    clean = True
    for table in tables:
        for version in partitions.half_detached(session, pipeline, table):
            clean &= _run(
                session,
                pipeline,
                table,
                version,
                "ALTER TABLE {parent} DETACH PARTITION {name} FINALIZE",
            )
        for version in partitions.loose(session, pipeline, table):
            clean &= _run(session, pipeline, table, version, "DROP TABLE IF EXISTS {name}")
    return clean


def drop(session: connection, pipeline: str, table: Table, version: str) -> bool:
    """Drop one version of a table. False when a reader was in the way: the next clean_up ends it."""
    detach = "ALTER TABLE {parent} DETACH PARTITION {name} CONCURRENTLY"
    if not _run(session, pipeline, table, version, detach):
        return False
    failpoint("publish.detach")
    return _run(session, pipeline, table, version, "DROP TABLE IF EXISTS {name}")


def retain(
    session: connection,
    pipeline: str,
    tables: Sequence[Table],
    params: PublishParams,
    now: datetime,
) -> tuple[list[str], bool]:
    """Drop what is expired. Returns the names of what went, and whether nothing was in the way."""
    served = publications.served(session, pipeline)
    if served is None or not clean_up(session, pipeline, tables):
        return [], served is None
    gone, clean = [], True
    for table, versions in due(session, pipeline, tables, params, now).items():
        for each in versions:
            if not drop(session, pipeline, table, each.version):
                clean = False
                break  # a table has one interrupted detach at most
            gone.append(f"{table.name}@{each.version}")
    return gone, clean


def _free(publication: Publication, served: Served, now: datetime) -> bool:
    if publication.version in served.pair:
        return False
    return publication.left_at is None or now - publication.left_at >= GRACE


def _run(session: connection, pipeline: str, table: Table, version: str, statement: str) -> bool:
    """Run one statement by itself under a lock timeout; False when it did not get its lock."""
    words = {"parent": parent(pipeline, table), "name": partition(pipeline, table, version)}
    with session.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, false)", (_LOCK_TIMEOUT,))
        try:
            cursor.execute(SQL(statement).format(**words))
            return True
        except LockNotAvailable as error:
            logger(pipeline=pipeline).warning(
                "a reader is in the way of a drop; the next publish tries again",
                table=table.name,
                version=version,
                error=str(error).strip(),
            )
            return False
        finally:
            cursor.execute("SELECT set_config('lock_timeout', '0', false)")
