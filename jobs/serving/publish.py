"""Publish: load a new version next to the old one, verify both stores, flip the pointers.

Failpoints: publish.loading (tables half loaded), publish.attached, publish.after_flip (PostgreSQL
serves the new version, Redis the old one), publish.detach (between DETACH and DROP), and those of
stores/redis.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property

import pyarrow as pa

from jobs.core.checks import Check, enforce
from jobs.core.errors import StoreError
from jobs.core.failpoint import failpoint
from jobs.core.log import logger
from jobs.core.params import PublishParams
from jobs.core.tables import Table
from jobs.serving import partitions, publications, retention
from jobs.serving.publications import Publication, State
from jobs.serving.stores import Serving, bring_redis_to_postgres, prepare_redis

FAILPOINTS = (
    "publish.loading",
    "publish.attached",
    "publish.after_flip",
    "publish.detach",
    "redis.loading",
    "redis.loaded",
    "redis.unlinking",
)


@dataclass(frozen=True)
class Edition:
    """The content to publish: the tables of one date and the model that predicted them.

    `recorded` holds the digests that predict recorded. For a day predicted by an earlier release
    they cover that release's columns, so that publishing it again finds the existing version.
    """

    date: date
    contents: Mapping[Table, pa.Table]
    model_digest: str | None
    model_version: str | None
    recorded: Mapping[str, str] | None = None

    @cached_property
    def digests(self) -> dict[str, str]:
        if self.recorded is not None:
            return dict(self.recorded)
        return {table.name: table.digest(rows) for table, rows in self.contents.items()}

    @property
    def row_counts(self) -> dict[str, int]:
        return {table.name: rows.num_rows for table, rows in self.contents.items()}

    @cached_property
    def version(self) -> str:
        return publications.version_name(self.date, self.digests)


@dataclass(frozen=True)
class Published:
    """The result of a publish; `served` says whether readers get this version now."""

    version: str
    state: State
    served: bool
    loaded: list[str]
    dropped: list[str]
    retention_complete: bool

    @property
    def withdrawn(self) -> bool:
        return self.state == "withdrawn"


@dataclass(frozen=True)
class Publishing:
    """The publication of an edition: `load`, `attach`, `mend`, then `flip`.

    The pointer moves only if the date is not before the served one. A withdrawn version is not
    touched. An existing version is only flipped again; tables that retention dropped, and tables
    with other content, are loaded again. The caller has reconciled before (`clean_up`,
    `bring_redis_to_postgres`).
    """

    serving: Serving
    edition: Edition
    params: PublishParams
    now: datetime

    def load(self) -> list[Table]:
        """Load the tables that the version lacks, which no reader sees yet; return them."""
        if _withdrawn(self.serving, self.edition.version):
            return []
        return _load(self.serving, self.edition, self.now)

    def attach(self, missing: list[Table]) -> list[Check]:
        """Verify the loaded tables and attach them; return the checks."""
        return _verify_and_attach(self.serving, self.edition, missing)

    def mend(self, missing: list[Table]) -> list[Table]:
        """Load attached tables again that have changed, and Redis; return these tables."""
        serving, edition = self.serving, self.edition
        mended = []
        if not _withdrawn(serving, edition.version):
            mended = _mend(serving, edition, [t for t in edition.contents if t not in missing])
        failpoint("publish.attached")
        if _will_be_served(serving, edition):
            published = _published(serving, edition.version)
            prepare_redis(serving, published, self.params.redis_batch)
            partitions.settle(serving.session, serving.pipeline, serving.tables)
        return mended

    def flip(self, loaded: list[Table]) -> Published:
        """Move the pointers, bring Redis in line, and drop expired versions."""
        serving, edition, now = self.serving, self.edition, self.now
        session, pipeline, version = serving.session, serving.pipeline, edition.version
        model = edition.model_digest, edition.model_version
        state = publications.flip(session, pipeline, version, model, f"publish {edition.date}", now)
        failpoint("publish.after_flip")
        bring_redis_to_postgres(serving, now, self.params.redis_batch)
        dropped, complete = retention.retain(session, pipeline, serving.tables, self.params, now)
        served = publications.served(session, pipeline)
        return Published(
            version,
            state,
            served is not None and served.version == version,
            [table.name for table in loaded],
            dropped,
            complete,
        )


def _withdrawn(serving: Serving, version: str) -> bool:
    publication = publications.find(serving.session, serving.pipeline, version)
    return publication is not None and publication.state == "withdrawn"


def _load(serving: Serving, edition: Edition, now: datetime) -> list[Table]:
    """Load the missing tables of the version; return them."""
    session, pipeline, version = serving.session, serving.pipeline, edition.version
    publications.begin(
        session, pipeline, version, edition.date, edition.row_counts, edition.digests, now
    )
    missing = [
        table
        for table in edition.contents
        if version not in partitions.attached(session, pipeline, table)
    ]
    for table in missing:
        if version in partitions.half_detached(session, pipeline, table):
            raise StoreError(
                f"{table.name} of {version} is being dropped, but a query still reads it",
                remedy="run publish again when that query has ended (pg_stat_activity names it)",
            )
        partitions.load(session, pipeline, table, version, edition.contents[table])
        failpoint("publish.loading")
    return missing


def _verify_and_attach(serving: Serving, edition: Edition, tables: list[Table]) -> list[Check]:
    checks = [
        check
        for table in tables
        for check in partitions.check(
            serving.session,
            serving.pipeline,
            table,
            edition.version,
            edition.row_counts[table.name],
            edition.digests[table.name],
        )
    ]
    enforce(
        checks,
        remedy="run publish again, which loads the version again; no pointer has moved",
        input=edition.version,
    )
    if tables:
        partitions.attach(serving.session, serving.pipeline, tables, edition.version)
    return checks


def _mend(serving: Serving, edition: Edition, tables: list[Table]) -> list[Table]:
    """Reload the attached `tables` that no longer have the version's content; return them."""
    damaged = {
        table: edition.contents[table]
        for table in tables
        if not partitions.holds(
            serving.session, serving.pipeline, table, edition.version, edition.digests[table.name]
        )
    }
    if damaged:
        names = [table.name for table in damaged]
        logger(pipeline=serving.pipeline).warning(
            "tables in PostgreSQL differ from what was published; loading them again",
            version=edition.version,
            tables=names,
        )
        partitions.replace(serving.session, serving.pipeline, damaged, edition.version)
    return list(damaged)


def _will_be_served(serving: Serving, edition: Edition) -> bool:
    served = publications.served(serving.session, serving.pipeline)
    return not _withdrawn(serving, edition.version) and (
        served is None or edition.date >= served.date
    )


def _published(serving: Serving, version: str) -> Publication:
    publication = publications.find(serving.session, serving.pipeline, version)
    assert isinstance(publication, Publication)
    return publication
