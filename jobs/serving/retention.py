"""Drop expired versions by DETACH CONCURRENTLY, then DROP, so that no lookup waits for it."""

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

# A statement that began while a version was served or previous may still read it.
GRACE = timedelta(seconds=60)
_LOCK_TIMEOUT = "5s"


def expired(
    table: Table, kept: Sequence[Publication], served: Served, params: PublishParams, now: datetime
) -> list[Publication]:
    """Return the versions of one table to drop, out of `kept`, which is newest first.

    Entity tables keep the newest `keep_versions`. Event tables keep the current version of every
    date in the `keep_days` before the served one, and the newest `keep_versions` of the other
    versions. The served and previous versions stay, and so does a version that was one of them less
    than GRACE before `now`.
    """
    first = served.date - timedelta(days=params.keep_days)
    if table.kind == "event":
        recent = [version for version in kept if version.date >= first]
        live = [version for version in recent if version.state in ("ready", "current")]
        rest = [version for version in recent if version not in live]
        staying = [*live, *rest[: params.keep_versions]]
    else:
        staying = list(kept[: params.keep_versions])
    return [version for version in kept if version not in staying and _free(version, served, now)]


def half_done(session: connection, pipeline: str, tables: Sequence[Table]) -> list[str]:
    """Return what `clean_up` would finish.

    `publication@<version>` is a half load, `<table>@<version>` a half load or half drop.
    """
    versions = publications.every(session, pipeline)
    loading = [f"publication@{row.version}" for row in versions if row.state == "loading"]
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
    """Return what `retain` would drop of each table; {} while nothing is served."""
    served = publications.served(session, pipeline)
    if served is None:
        return {}
    versions = publications.every(session, pipeline)
    held = {table: partitions.attached(session, pipeline, table) for table in tables}
    kept = {table: [row for row in versions if row.version in held[table]] for table in tables}
    return {table: expired(table, kept[table], served, params, now) for table in tables}


def clean_up(session: connection, pipeline: str, tables: Sequence[Table]) -> bool:
    """Finish the half loads and half drops of killed processes.

    False if a query's lock prevents it.
    """
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
    """Drop one version of a table.

    False if a query still reads it, and the next clean_up finishes.
    """
    detach = "ALTER TABLE {parent} DETACH PARTITION {name} CONCURRENTLY"
    if not _run(session, pipeline, table, version, detach):
        return False
    failpoint("publish.detach")
    return _run(session, pipeline, table, version, "DROP TABLE IF EXISTS {name}")


WAITS = "a query still reads an expired version; the next run drops it"


def retain(
    session: connection,
    pipeline: str,
    tables: Sequence[Table],
    params: PublishParams,
    now: datetime,
) -> tuple[list[str], bool]:
    """Drop expired versions; return their names, and whether all of them could be dropped."""
    served = publications.served(session, pipeline)
    if served is None or not clean_up(session, pipeline, tables):
        return [], served is None
    gone, clean = [], True
    for table, versions in due(session, pipeline, tables, params, now).items():
        for version in versions:
            if not drop(session, pipeline, table, version.version):
                clean = False
                break  # a table has one interrupted detach at most
            gone.append(f"{table.name}@{version.version}")
    return gone, clean


def _free(publication: Publication, served: Served, now: datetime) -> bool:
    if publication.version in served.pair:
        return False
    return publication.left_at is None or now - publication.left_at >= GRACE


def _run(session: connection, pipeline: str, table: Table, version: str, statement: str) -> bool:
    """Run one statement with a lock timeout; False if it could not get its lock."""
    words = {"parent": parent(pipeline, table), "name": partition(pipeline, table, version)}
    with session.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, false)", (_LOCK_TIMEOUT,))
        try:
            cursor.execute(SQL(statement).format(**words))
            return True
        except LockNotAvailable as error:
            logger(pipeline=pipeline).warning(
                "a query still reads an expired version; the next publish drops it",
                table=table.name,
                version=version,
                error=str(error).strip(),
            )
            return False
        finally:
            cursor.execute("SELECT set_config('lock_timeout', '0', false)")
