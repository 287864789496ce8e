"""housekeeping: remove files that no manifest names, old checkpoints, staging tables, old versions.

Option: dry_run (list what would be removed, change nothing, and write no manifest). D only names
the manifest. This is the only step that decides by the clock, because only age distinguishes the
work of a dead attempt from that of a running one.

Model files stay, because a row of `promotions` may name them. DVC's snapshots stay for `nightshift
restore`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from jobs.core import locks, params
from jobs.core.facts import HousekeepingFacts
from jobs.core.failpoint import failpoint
from jobs.core.manifest import utc_now
from jobs.core.params import HousekeepingParams, PublishParams
from jobs.serving import retention, stores
from jobs.serving.stores import Serving
from jobs.steps import leftovers
from jobs.steps.frame import Phases, Result, Staged, Step, unchanged
from jobs.steps.leftovers import Leftover
from jobs.steps.reconcile import serving
from jobs.stores import clickhouse, lineage


class Doomed(NamedTuple):
    """What can be removed, what manifests name, the serving stores, and when it was listed."""

    leftovers: list[Leftover]
    named: set[str]
    both: Serving
    now: datetime


def read(step: Step) -> Doomed:
    now, both = utc_now(), step.open(serving(step))
    # A damaged manifest stops the step here, because the files that it named are unknown.
    named = leftovers.named(lineage.manifests(step.lake, step.run.pipeline).values())
    doomed = [
        *_in_lake(step, step.run.pipeline, named, now),
        *_in_clickhouse(step, now),
        *_in_serving(both, _keep(step), now),
    ]
    return Doomed(doomed, named, both, now)


def stage(step: Step, doomed: Doomed) -> Staged:
    dry_run = bool(step.options.get("dry_run"))
    title = "would remove" if dry_run else "to remove"
    step.log.info(leftovers.report(title, doomed.leftovers, doomed.now))
    facts = HousekeepingFacts(dry_run=dry_run, found=_count(doomed.leftovers))
    return Staged(lambda: Result(facts) if dry_run else _remove(step, doomed))


def _remove(step: Step, doomed: Doomed) -> Result:
    group, named, both, now = doomed
    removed = [*_remove_files(step, group, named), *_drop_staging(step, group)]
    complete = _retain(both, _keep(step), now)
    remaining = _in_serving(both, _keep(step), now)
    removed += [leftover for leftover in _served(group) if leftover not in remaining]
    return Result(
        HousekeepingFacts(
            dry_run=False,
            found=_count(group),
            removed=_count(removed),
            bytes=sum(leftover.size for leftover in removed),
            retention="" if complete else retention.WAITS,
        )
    )


def _keep(step: Step) -> PublishParams:
    """The retention of publish: two sections could differ."""
    file, pipeline = step.settings.params_file, step.run.pipeline
    return params.section(file, pipeline, "publish", PublishParams)


def _in_lake(step: Step, folder: str, named: set[str], now: datetime) -> list[Leftover]:
    params = step.params(HousekeepingParams)
    files = step.lake.listing(folder)
    return [
        *leftovers.files(files, named, now, timedelta(hours=params.min_age_hours)),
        *leftovers.checkpoints(files, now, timedelta(days=params.checkpoint_days)),
    ]


def _in_clickhouse(step: Step, now: datetime) -> list[Leftover]:
    """The staging tables. Opening the embedded engine first completes the swaps that it died in."""
    min_age = timedelta(hours=step.params(HousekeepingParams).min_age_hours)
    with clickhouse.connect_clickhouse(step.settings) as db:
        return leftovers.staging_tables(db.staging(step.run.pipeline), now, min_age)


def _in_serving(both: Serving, keep: PublishParams, now: datetime) -> list[Leftover]:
    half_done = retention.half_done(both.session, both.pipeline, both.tables)
    due = retention.due(both.session, both.pipeline, both.tables, keep, now)
    expired = [
        (f"{table.name}@{kept.version}", kept.left_at) for table in due for kept in due[table]
    ]
    return [
        *(Leftover("half load", name, "its publish was killed") for name in half_done),
        *(Leftover("version", name, "past retention", left_at) for name, left_at in expired),
        *(
            Leftover("keys", version, "neither served nor previous")
            for version in stores.left(both, now)
        ),
    ]


def _remove_files(step: Step, doomed: Sequence[Leftover], named: set[str]) -> Iterator[Leftover]:
    """Remove the files of each folder under the lock of the step that writes there, so that the
    step cannot write one of them again at the same time.
    """
    folders: dict[str, list[Leftover]] = defaultdict(list)
    for leftover in doomed:
        if leftover.kind in ("file", "half-written file", "checkpoints"):
            folders[leftovers.folder_of(leftover.name)].append(leftover)
    for folder, group in folders.items():
        if holder := locks.holder(step.settings.postgres, folder):
            step.log.warning(
                "a step is in progress there; the next run removes these files",
                folder=folder,
                holder=holder,
            )
            continue
        with locks.hold(step.settings.postgres, folder, f"{step.run} {step.run.attempt}"):
            manifest = step.lake.manifest(folder)
            now_named = named | leftovers.named([manifest] if manifest else [])
            still_doomed = _in_lake(step, folder, now_named, utc_now())
            for leftover in group:
                if leftover in still_doomed:
                    _remove_file(step, leftover)
                    yield leftover


def _remove_file(step: Step, leftover: Leftover) -> None:
    """Remove a file, or a folder of checkpoints from the newest to the oldest: if it is killed, the
    rest is a valid state of that training.
    """
    paths = [leftover.name]
    if leftover.kind == "checkpoints":
        files = step.lake.listing(leftover.name)
        paths = [file.path for file in sorted(files, key=lambda file: file.modified, reverse=True)]
    for path in paths:
        step.lake.remove(path)
        failpoint("housekeeping.removing")


def _drop_staging(step: Step, doomed: Sequence[Leftover]) -> list[Leftover]:
    staging = [leftover for leftover in doomed if leftover.kind == "staging table"]
    if staging:  # do not open the embedded engine again for nothing
        with clickhouse.connect_clickhouse(step.settings) as db:
            for leftover in staging:
                db.drop(step.run.pipeline, leftover.name)
                failpoint("housekeeping.dropping")
    return staging


def _retain(both: Serving, keep: PublishParams, now: datetime) -> bool:
    """Drop what is past retention; False if a query still reads some of it."""
    clean = retention.clean_up(both.session, both.pipeline, both.tables)
    _, complete = retention.retain(both.session, both.pipeline, both.tables, keep, now)
    stores.drop_left(both, now)
    return clean and complete


def _served(doomed: Sequence[Leftover]) -> Iterator[Leftover]:
    return (leftover for leftover in doomed if leftover.kind in ("half load", "version", "keys"))


def _count(group: Sequence[Leftover]) -> dict[str, int]:
    return dict(Counter(leftover.kind for leftover in group))


PHASES = Phases(read, unchanged, stage)
