"""Removes what a day left in the lake and in ClickHouse, unless something refers to the day.

It is not a step and writes no manifest: afterwards the day looks as if it had never run. A day
stays if it was published, if a decision was made about it, or if something was made from it.
Failpoint: forget.removing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import PurePosixPath

from jobs.core import locks
from jobs.core.errors import DataError
from jobs.core.failpoint import failpoint
from jobs.core.manifest import manifest_name
from jobs.core.settings import Settings
from jobs.core.steps import STEPS
from jobs.core.tables import Table
from jobs.serving import promotions, publications, schema
from jobs.steps import leftovers
from jobs.steps.frame import run_lock
from jobs.steps.records import RECORDS
from jobs.stores import clickhouse, lineage, registry
from jobs.stores.lake import Lake
from jobs.usecases.discovery import find_usecase

LOCK_SECONDS = 5.0


@dataclass(frozen=True)
class ForgetPlan:
    """What a day left: lake files in the order of removal, and tables with its partition."""

    files: Sequence[str]
    partitions: Sequence[Table]

    def lines(self) -> Iterator[str]:
        """One line per file or table, for people."""
        yield from (f"lake        {path}" for path in self.files)
        yield from (f"clickhouse  {table.name}" for table in self.partitions)


def plan(settings: Settings, pipeline: str, day: date, among: Collection[date] = ()) -> ForgetPlan:
    """What the day left. Raises DataError with everything that refers to the day.

    References from the days in `among` do not count, because these days are forgotten too.
    """
    lake = Lake(settings.lake)
    lake.require_schema_version()
    reasons = [
        *_manifests(lake, pipeline, day, {day, *among}),
        *_served(settings, pipeline, day),
        *_aliases(settings, pipeline, day),
    ]
    if reasons:
        raise DataError(
            f"{day} of {pipeline} cannot be forgotten, because other things refer to it: "
            f"{'; '.join(reasons)}",
            remedy="keep the day; if its tables are served, roll back (`nightshift rollback`)",
            input=f"{pipeline} {day}",
        )
    return ForgetPlan(_files(lake, pipeline, day), _partitions(settings, pipeline, day))


def forget(settings: Settings, pipeline: str, day: date) -> ForgetPlan:
    """Remove what `plan` lists, and return it. No step of the day runs during the removal.

    It removes manifests first, from the last step to the first, so that no remaining manifest names
    a missing file. To resume a killed removal, call it again.
    """
    with _alone(settings, pipeline, day):
        leftovers_of_day = plan(settings, pipeline, day)
        lake = Lake(settings.lake)
        for path in leftovers_of_day.files:
            lake.remove(path)
            failpoint("forget.removing")
        if leftovers_of_day.partitions:
            with clickhouse.connect_clickhouse(settings) as db:
                for table in leftovers_of_day.partitions:
                    db.drop_day(pipeline, table, day)
    return leftovers_of_day


@contextmanager
def _alone(settings: Settings, pipeline: str, day: date) -> Iterator[None]:
    """Hold every lock that a step of the day takes."""
    names = [
        run_lock(pipeline, day),
        pipeline,
        *(manifest_name(pipeline, step, day) for step in STEPS),
    ]
    with ExitStack() as stack:
        for name in names:
            stack.enter_context(
                locks.hold(
                    settings.postgres, name, f"nightshift forget {pipeline} {day}", LOCK_SECONDS
                )
            )
        yield


def _manifests(lake: Lake, pipeline: str, day: date, going: Collection[date]) -> Iterator[str]:
    """The manifests that were made from this day, except those of the days in `going`."""
    ours = {manifest_name(pipeline, step, day) for step in STEPS}
    for name, manifest in lineage.manifests(lake, pipeline).items():
        if manifest.date in going:
            continue
        named = {
            folder
            for text in leftovers.named([manifest])
            for folder in (text, str(PurePosixPath(text).parent))
        }
        if read := sorted(ours & (named | set(manifest.reads))):
            yield f"the manifest {name} names {read[0]}"


def _served(settings: Settings, pipeline: str, day: date) -> Iterator[str]:
    """The published versions of the day, and the decisions about it."""
    with schema.connect_serving_database(settings.postgres) as session:
        for publication in publications.every(session, pipeline):
            if publication.date == day:
                yield f"the version {publication.version} was published ({publication.state})"
    for row in promotions.history(settings.postgres, pipeline):
        if row.date == day:
            yield f"a decision of this date is in promotions ({row.kind}, {row.verdict})"


def _aliases(settings: Settings, pipeline: str, day: date) -> Iterator[str]:
    """The MLflow aliases of the model that the day trained; asks MLflow only if there is one."""
    trained = Lake(settings.lake).manifest(manifest_name(pipeline, "train", day))
    if trained is None or trained.model_digest is None:
        return
    for alias in registry.aliases_of(settings, pipeline, trained.model_digest):
        yield f"the alias {alias} in MLflow names the model of this day"


def _files(lake: Lake, pipeline: str, day: date) -> list[str]:
    """The files of the day's folders: manifests first, from the last step to the first."""
    paths = [
        file.path
        for step in reversed([*STEPS])
        for file in lake.listing(manifest_name(pipeline, step, day))
    ]
    return sorted(paths, key=lambda path: not path.endswith("/manifest.json"))


def _partitions(settings: Settings, pipeline: str, day: date) -> list[Table]:
    usecase = find_usecase(pipeline)
    tables = (*usecase.aggregates, *usecase.predictions, *RECORDS)
    with clickhouse.connect_clickhouse(settings) as db:
        return [table for table in tables if day in db.days(pipeline, table)]
