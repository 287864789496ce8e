"""A date far from all data is most often mistyped: whoever gives it by hand says so with --force."""

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
    """DataError when D is more than `max_gap_days` from every day with rows in the source or the lake.

    A day that the lake has already may be run again. Where neither has a row yet, there is nothing to compare with.
    """
    if lake.manifest(manifest_name(pipeline, "extract", day)):
        return
    nearest = sorted({*_of_source(session, pipeline, day), *_of_lake(lake, pipeline, day)})
    if not nearest or min(abs((each - day).days) for each in nearest) <= max_gap_days:
        return
    raise DataError(
        f"{day} is more than {max_gap_days} days from every day that the source or the lake has",
        remedy="check the date. If it is right, run it with --force, or tick Force in Airflow's form; extract.max_gap_days "
        "sets the limit",
        input=f"{pipeline} {day}; the nearest days with rows: {', '.join(map(str, nearest))}",
    )


def _of_source(session: operational.Session, pipeline: str, day: date) -> list[date]:
    start, end = Run(pipeline, "extract", day).window
    timed = [source for source in find_usecase(pipeline).sources if source.time]
    return [
        each for source in timed for each in operational.nearest_days(session, source, start, end)
    ]


def _of_lake(lake: Lake, pipeline: str, day: date) -> list[date]:
    """The nearest extracted day that has rows of a source with time; none when there is none."""
    for each in sorted(lake.days(pipeline, "extract"), key=lambda known: abs((known - day).days)):
        found = lake.manifest(manifest_name(pipeline, "extract", each))
        if found and _has_rows(found, pipeline):
            return [each]
    return []


def _has_rows(manifest: Manifest, pipeline: str) -> bool:
    timed = {source.name for source in find_usecase(pipeline).sources if source.time}
    return any(output.rows for output in manifest.outputs if output.name in timed)
