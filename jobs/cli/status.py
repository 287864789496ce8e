"""`nightshift status`: show the served version, decisions, missing and stale days, and digests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from typing import TYPE_CHECKING, Annotated

import typer

from jobs.cli.served import age
from jobs.cli.show import Screen, echo
from jobs.core.errors import ConfigError
from jobs.core.identity import ranges
from jobs.core.pipelines import DEFAULT_PIPELINE, PIPELINE_HELP

if TYPE_CHECKING:
    from jobs.core.manifest import Manifest
    from jobs.core.settings import Settings
    from jobs.stores.lineage import Stale

_DECISIONS, _STALE = 3, 20


def status(
    pipeline: Annotated[str, typer.Argument(help=PIPELINE_HELP)] = DEFAULT_PIPELINE,
    digests: Annotated[
        bool,
        typer.Option("--digests", help="Print only the content digests, one per line, sorted."),
    ] = False,
    range_: Annotated[
        str | None,
        typer.Option(
            "--range", metavar="FIRST..LAST", help="Days to check for missing ones, both included."
        ),
    ] = None,
) -> None:
    """Show the served version, the newest decisions on the model, and missing or stale days.

    With --digests: the content of every partition, snapshot, model and served table. Two homes with
    the same lines have the same data.

    Example: nightshift status fraud --range 2018-05-01..2018-05-31
    """
    from jobs.core import schedule, settings
    from jobs.usecases.discovery import find_usecase

    config = settings.load()
    find_usecase(pipeline)  # raises for an unknown pipeline
    if digests:
        for line in sorted(_digests(config, pipeline)):
            echo(line)
        return
    first, last = _range(range_)
    screen = Screen()
    _served(screen, config, pipeline)
    if schedule.off(config):
        screen.item("schedule", schedule.described(config))
    _decisions(screen, config, pipeline)
    _history(screen, config, pipeline, first, last)


def _range(text: str | None) -> tuple[date | None, date | None]:
    if text is None:
        return None, None
    try:
        first, last = map(date.fromisoformat, text.split(".."))
    except ValueError:
        raise ConfigError(
            "--range is not two days",
            input=text,
            remedy="write FIRST..LAST, such as 2018-05-01..2018-05-31",
        ) from None
    if first > last:
        raise ConfigError(
            "--range ends before it begins", input=text, remedy=f"write {last}..{first}"
        )
    return first, last


def _served(screen: Screen, config: Settings, pipeline: str) -> None:
    from jobs.serving import publications, schema

    with schema.connect_serving_database(config.postgres) as session:
        served, versions = (
            publications.served(session, pipeline),
            publications.every(session, pipeline),
        )
    if served is None:
        screen.say(f"{pipeline}: nothing has been published")
        return
    version = next(version for version in versions if version.version == served.version)
    screen.say(
        f"{pipeline} serves {served.version} of {served.date}, "
        f"published {age(version.created_at)} ago"
    )
    if age(served.at) != age(version.created_at):  # a rollback returned to this version
        screen.item("since", f"{age(served.at)} ago, {served.reason}")
    screen.item("model", f"version {version.model_version} ({(version.model_digest or '')[:12]})")
    screen.item(
        "rows", ", ".join(f"{name} {count:,}" for name, count in version.row_counts.items())
    )
    screen.item("previous", served.previous or "none")


def _decisions(screen: Screen, config: Settings, pipeline: str) -> None:
    """Print the newest decisions on the model, with one line per check that did not pass."""
    from jobs.serving import promotions

    for row in promotions.history(config.postgres, pipeline)[-_DECISIONS:]:
        by = f" by {row.approved_by}" if row.approved_by else ""
        model = f", model version {row.to_version}" if row.to_version else ""
        screen.say(f"  {row.date} {row.kind}: {row.verdict}{by}{model}")
        passed = [reason for reason in row.reasons if reason.startswith("ok ")]
        for reason in (reason for reason in row.reasons if reason not in passed):
            screen.item("", reason)
        if passed:
            screen.item("", f"{len(passed)} checks passed")


def _history(
    screen: Screen, config: Settings, pipeline: str, start: date | None, end: date | None
) -> None:
    from jobs.core import params
    from jobs.core.steps import INGEST, STEPS
    from jobs.stores import lineage
    from jobs.stores.lake import Lake
    from jobs.usecases.discovery import find_usecase

    manifests = lineage.manifests(Lake(config.lake), pipeline)
    if not manifests:
        screen.say("  no step has run")
        return
    first = params.first_date(config.params_file, pipeline)
    for step in STEPS:
        if done := sorted(run.date for run in manifests.values() if run.step == step):
            # Before the first training there is nothing to train, judge or serve.
            since = (
                max(first, start or done[0]) if step in INGEST else max(done[0], start or done[0])
            )
            missing = lineage.holes(manifests, step, since, end or done[-1])
            gaps = f"holes: {ranges(missing)}" if missing else ""
            screen.item(step, f"{len(done):4} days, {done[0]} to {done[-1]}  {gaps}".rstrip())
    if empty := [run.date for run in manifests.values() if _is_empty(run)]:
        screen.item("no rows", f"in the source on {ranges(empty)}")
    sections = {
        step: params.section(config.params_file, pipeline, step, model).digest
        for step, model in find_usecase(pipeline).params.items()
    }
    for line in _stale(lineage.stale(manifests, sections)):
        screen.item("stale", line)


def _is_empty(manifest: Manifest) -> bool:
    from jobs.steps.validate import NOT_EMPTY

    return any(
        str(check["name"]).endswith(NOT_EMPTY) and not check["passed"] for check in manifest.checks
    )


def _stale(runs: Iterable[Stale]) -> Iterator[str]:
    """Yield a line per step and cause, at most `_STALE` of them, and the number of other runs."""
    groups: dict[tuple[str, str], list[date]] = {}
    for run in runs:
        groups.setdefault((run.step, run.because), []).append(run.date)
    for (step, because), dates in list(groups.items())[:_STALE]:
        yield f"{step} {ranges(dates)}, because {because}; run it again"
    if rest := sum(map(len, list(groups.values())[_STALE:])):
        yield f"and {rest:,} more runs"


def _digests(config: Settings, pipeline: str) -> Iterator[str]:
    from jobs.core.facts import SnapshotFacts
    from jobs.stores import lineage
    from jobs.stores.lake import Lake

    for manifest in lineage.manifests(Lake(config.lake), pipeline).values():
        for output in manifest.outputs:
            yield f"manifest {manifest.name} {output.name} rows={output.rows} {output.digest}"
        if manifest.model_digest:
            yield f"manifest {manifest.name} model {manifest.model_digest}"
        if manifest.step == SnapshotFacts.step:
            yield f"snapshot {manifest.name} md5 {SnapshotFacts.of(manifest).snapshot_md5}"
    yield from _clickhouse_digests(config, pipeline)
    yield from _serving_digests(config, pipeline)


def _clickhouse_digests(config: Settings, pipeline: str) -> Iterator[str]:
    from jobs.steps.records import RECORDS
    from jobs.stores import clickhouse
    from jobs.usecases.discovery import find_usecase

    usecase = find_usecase(pipeline)
    with clickhouse.connect_clickhouse(config) as db:
        for table in (*usecase.aggregates, *usecase.predictions, *RECORDS):
            for day in db.days(pipeline, table):
                rows = db.read_partition(pipeline, table, day)
                digest = table.digest(rows)
                yield f"clickhouse {pipeline}.{table.name} {day} rows={rows.num_rows} {digest}"


def _serving_digests(config: Settings, pipeline: str) -> Iterator[str]:
    from jobs.serving import promotions, publications, stores
    from jobs.usecases.discovery import find_usecase

    with stores.connect_serving_stores(
        config.postgres, config.redis, pipeline, find_usecase(pipeline).predictions
    ) as both:
        for publication in both.kept():
            version = f"{pipeline} {publication.version}"
            yield f"publication {version} {publication.date} {publication.state}"
            for table, rows in both.contents(publication).items():
                digest = table.digest(rows)
                name = f"{pipeline}.{table.name} {publication.version}"
                yield f"postgres {name} rows={rows.num_rows} {digest}"
        if served := publications.served(both.session, pipeline):
            yield f"served postgres {pipeline} {served.version} previous={served.previous}"
        versions = ",".join(sorted(both.redis.versions()))
        yield f"served redis {pipeline} {both.redis.served()} holds={versions}"
    for row in promotions.history(config.postgres, pipeline):
        move = f"{row.from_digest} -> {row.to_digest}"
        yield f"promotion {pipeline} {row.date} {row.kind} {row.verdict} {move}"
