"""`nightshift status`: what is served, of which date and model, how old; holes, stale steps, and every digest."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING, Annotated

import typer

from jobs.cli.served import age
from jobs.cli.show import echo

if TYPE_CHECKING:
    from jobs.core.settings import Settings


def status(
    pipeline: Annotated[str, typer.Argument(help="The use case.")] = "fraud",
    digests: Annotated[
        bool, typer.Option("--digests", help="Only the content digests, one a line, sorted.")
    ] = False,
    range_: Annotated[
        str | None,
        typer.Option("--range", metavar="FIRST..LAST", help="Look for holes on these days, both included."),
    ] = None,
) -> None:
    """Say what is served and what is missing or stale.

    With --digests: the content of every partition, snapshot, model and served table. Two states with the same
    lines hold the same data.

    Example: nightshift status fraud --range 2018-05-01..2018-05-31
    """
    from jobs.core import schedule, settings

    chosen = settings.load()
    if digests:
        for line in sorted(_digests(chosen, pipeline)):
            echo(line)
        return
    _served(chosen, pipeline)
    if schedule.off(chosen):
        echo(f"  schedule  {schedule.described(chosen)}")
    _history(chosen, pipeline, *_range(range_))


def _range(text: str | None) -> tuple[date | None, date | None]:
    if text is None:
        return None, None
    try:
        first, last = map(date.fromisoformat, text.split(".."))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not FIRST..LAST, as in 2018-05-01..2018-05-31") from None
    return first, last


def _served(chosen: Settings, pipeline: str) -> None:
    from jobs.stores import promotions
    from jobs.stores.serving import publications, schema

    with schema.connect(chosen.postgres) as session:
        served, known = publications.served(session, pipeline), publications.every(session, pipeline)
    if served is None:
        typer.echo(f"{pipeline}: nothing has been published")
    else:
        version = next(each for each in known if each.version == served.version)
        typer.echo(f"{pipeline} serves {served.version} of {served.date}, published {age(served.at)} ago")
        typer.echo(f"  model     version {version.model_version} ({(version.model_digest or '')[:12]})")
        typer.echo(
            f"  rows      {', '.join(f'{name} {count:,}' for name, count in version.row_counts.items())}"
        )
        typer.echo(f"  previous  {served.previous or 'none'}")
    rows = promotions.history(chosen.postgres, pipeline)
    for row in rows[-3:]:
        echo(f"  {row.date} {row.kind}: {row.verdict}; {'; '.join(row.reasons)}")


def _history(chosen: Settings, pipeline: str, start: date | None, end: date | None) -> None:
    from jobs.core import params
    from jobs.core.usecase import parameters
    from jobs.steps.frame import STEPS
    from jobs.stores import lineage
    from jobs.stores.lake import Lake

    lake = Lake(chosen.lake)
    known = lineage.manifests(lake, pipeline)
    if not known:
        typer.echo("  no step has run")
        return
    for step in STEPS:
        if done := lake.days(pipeline, step):
            missing = lineage.holes(lake, pipeline, step, start or done[0], end or done[-1])
            gaps = f"holes: {', '.join(map(str, missing))}" if missing else ""
            typer.echo(f"  {step:15} {len(done):4} days, {done[0]} to {done[-1]} {gaps}".rstrip())
    sections = {
        step: params.section(chosen.params_file, pipeline, step, model).digest
        for step, model in parameters(pipeline).items()
    }
    for found in lineage.stale(known, sections):
        typer.echo(f"  stale: {found.step} {found.date}, because {found.because}; run it again")


def _digests(chosen: Settings, pipeline: str) -> Iterator[str]:
    from jobs.stores import lineage
    from jobs.stores.lake import Lake

    for manifest in lineage.manifests(Lake(chosen.lake), pipeline).values():
        for output in manifest.outputs:
            yield f"manifest {manifest.name} {output.name} rows={output.rows} {output.digest}"
        if manifest.model_digest:
            yield f"manifest {manifest.name} model {manifest.model_digest}"
        if md5 := manifest.facts.get("snapshot_md5"):
            yield f"snapshot {manifest.name} md5 {md5}"
    yield from _clickhouse_digests(chosen, pipeline)
    yield from _serving_digests(chosen, pipeline)


def _clickhouse_digests(chosen: Settings, pipeline: str) -> Iterator[str]:
    from jobs.core.digest import table_digest
    from jobs.core.usecase import tables
    from jobs.steps.records import RECORDS
    from jobs.stores import clickhouse

    known = tables(pipeline)
    with clickhouse.connect(chosen) as db:
        for table in (*known.AGGREGATES, *known.PREDICTIONS, *RECORDS):
            for day in db.days(pipeline, table):
                rows = db.read_partition(pipeline, table, day)
                digest = table_digest(rows, table.key)
                yield f"clickhouse {pipeline}.{table.name} {day} rows={rows.num_rows} {digest}"


def _serving_digests(chosen: Settings, pipeline: str) -> Iterator[str]:
    from jobs.core.digest import table_digest
    from jobs.core.usecase import tables
    from jobs.stores import promotions
    from jobs.stores.serving import publications, stores

    with stores.connect(chosen.postgres, chosen.redis, pipeline, tables(pipeline).PREDICTIONS) as both:
        for publication in both.kept():
            yield f"publication {pipeline} {publication.version} {publication.date} {publication.state}"
            for table, rows in both.contents(publication).items():
                digest = table_digest(rows, table.key)
                yield f"postgres {pipeline}.{table.name} {publication.version} rows={rows.num_rows} {digest}"
        if served := publications.served(both.session, pipeline):
            yield f"served postgres {pipeline} {served.version} previous={served.previous}"
        yield f"served redis {pipeline} {both.redis.served()} holds={','.join(sorted(both.redis.versions()))}"
    for row in promotions.history(chosen.postgres, pipeline):
        yield f"promotion {pipeline} {row.date} {row.kind} {row.verdict} {row.from_digest} -> {row.to_digest}"
