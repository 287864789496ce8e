"""Refuses a date that is far from all data, which is usually a typing error; --force allows it."""

from __future__ import annotations

from datetime import date

from jobs.core.errors import DataError
from jobs.core.identity import Run
from jobs.core.manifest import Manifest, manifest_name
from jobs.stores import source as operational
from jobs.stores.lake import Lake
from jobs.usecases.discovery import find_usecase


def refuse_far(
    session: operational.Session, lake: Lake, pipeline: str, day: date, max_gap_days: int
) -> None:
    """Raise DataError if D is more than `max_gap_days` from every day with rows in source or lake.

    A day that was extracted before is allowed, and so is any day while neither has rows.
    """
    if lake.manifest(manifest_name(pipeline, "extract", day)):
        return
    nearest = sorted({*_of_source(session, pipeline, day), *_of_lake(lake, pipeline, day)})
    if not nearest or min(abs((other - day).days) for other in nearest) <= max_gap_days:
        return
    raise DataError(
        f"{day} is more than {max_gap_days} days from every day that the source or the lake has",
        remedy="check the date. If it is right, run it with --force, or tick Force in Airflow's "
        "form. extract.max_gap_days sets the limit",
        input=f"{pipeline} {day}; the nearest days with rows: {', '.join(map(str, nearest))}",
    )


def _of_source(session: operational.Session, pipeline: str, day: date) -> list[date]:
    start, end = Run(pipeline, "extract", day).window
    timed = [source for source in find_usecase(pipeline).sources if source.time]
    nearest = [operational.nearest_days(session, source, start, end) for source in timed]
    return [near for days in nearest for near in days]


def _of_lake(lake: Lake, pipeline: str, day: date) -> list[date]:
    """The nearest extracted day with rows of a source that has a time column, or []."""
    for near in sorted(lake.days(pipeline, "extract"), key=lambda other: abs((other - day).days)):
        manifest = lake.manifest(manifest_name(pipeline, "extract", near))
        if manifest and _has_rows(manifest, pipeline):
            return [near]
    return []


def _has_rows(manifest: Manifest, pipeline: str) -> bool:
    timed = {source.name for source in find_usecase(pipeline).sources if source.time}
    return any(output.rows for output in manifest.outputs if output.name in timed)
