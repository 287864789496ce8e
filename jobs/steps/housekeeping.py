"""housekeeping: remove what nobody needs any more: files no manifest names, old checkpoints, dead staging tables, old versions.

Option: dry_run (say what would go; change nothing, and leave no manifest). D only names the manifest. This is the one
step that decides by the clock: nothing but age tells a dead attempt's work from that of one under way.

Files of models stay, for a row of `promotions` may name them; so do DVC's snapshots, which `nightshift restore` brings back.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from jobs.core import locks, params
from jobs.core.failpoint import failpoint
from jobs.core.manifest import utc_now
from jobs.core.params import HousekeepingParams, PublishParams
from jobs.serving import retention, stores
from jobs.serving.stores import Serving
from jobs.steps import leftovers
from jobs.steps.frame import Step
from jobs.steps.leftovers import Leftover
from jobs.stores import clickhouse, lineage
from jobs.usecases.discovery import find_usecase

# It drops versions, and no publish may be adding any meanwhile.


def run(step: Step) -> None:
    pipeline, dry_run, now = step.run.pipeline, step.options.get("dry_run", False), utc_now()
    # What publish keeps, housekeeping keeps: two sections might differ.
    keep = params.section(step.settings.params_file, pipeline, "publish", PublishParams)
    step.at("window")
    with stores.connect(
        step.settings.postgres, step.settings.redis, pipeline, find_usecase(pipeline).predictions
    ) as both:
        step.at("read")
        # A damaged manifest ends it here: nobody knows which files it named.
        known = leftovers.named(lineage.manifests(step.lake, pipeline).values())
        found = [
            *_in_lake(step, pipeline, known, now),
            *_in_clickhouse(step, now),
            *_in_serving(both, keep, now),
        ]
        step.at("compute")
        step.log.info(leftovers.report("would remove" if dry_run else "to remove", found, now))
        step.at("stage")
        step.at("check")
        step.at("swap")
        step.facts |= {"dry_run": dry_run, "found": _count(found)}
        if dry_run:
            return
        gone = [
            *_remove_files(step, found, known),
            *_drop_staging(step, found),
            *_retain(step, both, found, keep, now),
        ]
        step.facts |= {"removed": _count(gone), "bytes": sum(each.size for each in gone)}


def _in_lake(step: Step, folder: str, known: set[str], now: datetime) -> list[Leftover]:
    chosen = step.params(HousekeepingParams)
    found = step.lake.listing(folder)
    return [
        *leftovers.files(found, known, now, timedelta(hours=chosen.min_age_hours)),
        *leftovers.checkpoints(found, now, timedelta(days=chosen.checkpoint_days)),
    ]


def _in_clickhouse(step: Step, now: datetime) -> list[Leftover]:
    """To open the embedded engine completes the swaps inside which it died, whoever opens it."""
    min_age = timedelta(hours=step.params(HousekeepingParams).min_age_hours)
    with clickhouse.connect(step.settings) as db:
        return leftovers.staging_tables(db.staging(step.run.pipeline), now, min_age)


def _in_serving(both: Serving, keep: PublishParams, now: datetime) -> list[Leftover]:
    half_done = retention.half_done(both.session, both.pipeline, both.tables)
    due = retention.due(both.session, both.pipeline, both.tables, keep, now)
    expired = [
        (f"{table.name}@{each.version}", each.left_at) for table in due for each in due[table]
    ]
    return [
        *(Leftover("half load", name, "its publish was killed") for name in half_done),
        *(Leftover("version", name, "past retention", left_at) for name, left_at in expired),
        *(
            Leftover("keys", version, "neither served nor previous")
            for version in stores.left(both, now)
        ),
    ]


def _remove_files(step: Step, found: Sequence[Leftover], known: set[str]) -> Iterator[Leftover]:
    """Folder by folder, under the lock of the step that writes there: whoever writes a file anew comes before or after."""
    folders: dict[str, list[Leftover]] = defaultdict(list)
    for each in found:
        if each.kind in ("file", "half-written file", "checkpoints"):
            folders[leftovers.folder_of(each.name)].append(each)
    for folder, group in folders.items():
        if holder := locks.holder(step.settings.postgres, folder):
            step.log.warning("a step is under way there: next time", folder=folder, holder=holder)
            continue
        with locks.hold(step.settings.postgres, folder, f"{step.run} {step.run.attempt}"):
            manifest = step.lake.manifest(folder)
            named = known | leftovers.named([manifest] if manifest else [])
            still = _in_lake(step, folder, named, utc_now())
            for each in (each for each in group if each in still):
                _remove_file(step, each)
                yield each


def _remove_file(step: Step, leftover: Leftover) -> None:
    """Of checkpoints the newest first: killed half-way, it leaves those of a training that was killed earlier."""
    paths = [leftover.name]
    if leftover.kind == "checkpoints":
        files = step.lake.listing(leftover.name)
        paths = [file.path for file in sorted(files, key=lambda file: file.modified, reverse=True)]
    for path in paths:
        step.lake.remove(path)
        failpoint("housekeeping.removing")


def _drop_staging(step: Step, found: Sequence[Leftover]) -> list[Leftover]:
    staging = [each for each in found if each.kind == "staging table"]
    if staging:  # else the embedded engine need not be opened again
        with clickhouse.connect(step.settings) as db:
            for each in staging:
                db.drop(step.run.pipeline, each.name)
                failpoint("housekeeping.dropping")
    return staging


def _retain(
    step: Step, both: Serving, found: Sequence[Leftover], keep: PublishParams, now: datetime
) -> list[Leftover]:
    clean = retention.clean_up(both.session, both.pipeline, both.tables)
    _, complete = retention.retain(both.session, both.pipeline, both.tables, keep, now)
    stores.drop_left(both, now)
    if not (clean and complete):
        step.facts["retention"] = "a query still reads an expired version; the next run drops it"
    left = _in_serving(both, keep, now)
    return [
        each for each in found if each.kind in ("half load", "version", "keys") and each not in left
    ]


def _count(found: Sequence[Leftover]) -> dict[str, int]:
    return dict(Counter(each.kind for each in found))
