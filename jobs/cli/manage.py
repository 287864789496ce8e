"""`nightshift rollback`, `restore` and `params`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date as Day
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jobs.core.pipelines import DEFAULT_PIPELINE, PIPELINE_HELP

if TYPE_CHECKING:
    from pydantic import BaseModel

    from jobs.core.facts import RollbackFacts
    from jobs.core.settings import Settings


class What(StrEnum):
    tables = "tables"
    model = "model"
    both = "both"


def rollback(
    pipeline: Annotated[str, typer.Argument(help=PIPELINE_HELP)],
    reason: Annotated[str, typer.Option(help="The reason, which is stored with the rollback.")],
    what: Annotated[What, typer.Option(help="What to roll back.")] = What.both,
    to: Annotated[
        str | None,
        typer.Option(
            help="Target: a version of the tables, or a model by digest or number. Default: the "
            "previous one."
        ),
    ] = None,
    date: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"],
            help="First day that the rollback applies to. Default: the newest night.",
        ),
    ] = None,
    by: Annotated[str, typer.Option(envvar="USER", help="Who asks for the rollback.")] = "unknown",
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run/--no-dry-run", help="Show what would change, without changing it."),
    ] = True,
) -> None:
    """Go back to the previous tables, model, or both.

    Versions newer than the target are withdrawn: publishing them again does not undo the rollback.

    Example: nightshift rollback fraud --what tables --reason "scores are off" --no-dry-run
    """
    from jobs.cli import show
    from jobs.core import log, settings
    from jobs.core.facts import RollbackFacts
    from jobs.core.identity import Run
    from jobs.steps import frame

    log.set_up()
    config = settings.load()
    manifest = frame.execute(
        Run(pipeline, "rollback", date.date() if date else _newest(config, pipeline)),
        config,
        what=what.value,
        to=to,
        reason=reason,
        by=by,
        dry_run=dry_run,
    )
    for line in _report(RollbackFacts.of(manifest)):
        show.echo(line)


def _report(facts: RollbackFacts) -> Iterator[str]:
    """Yield the lines that report what changed, or would change."""
    yield "dry run, nothing was changed; this would change:" if facts.dry_run else "rolled back:"
    yield f"  tables     {_move(facts.left_version, facts.version)}"
    yield f"  model      {_move(facts.left_model, facts.model)}"
    if not facts.dry_run:
        yield f"  withdrawn  {', '.join(facts.withdrawn or []) or 'nothing'}"
    yield f"  reason     {facts.reason}"


def _move(left: str | None, to: str | None) -> str:
    return f"{left or 'none'} -> {to}" if to else "unchanged"


def _newest(config: Settings, pipeline: str) -> Day:
    """Return the day of the newest night.

    A rollback of that date takes precedence over everything published, and changes no earlier
    night.
    """
    from jobs.core.errors import DataError
    from jobs.serving import promotions, publications, schema

    with schema.connect_serving_database(config.postgres) as session:
        served = publications.served(session, pipeline)
    days = [
        promotions.history(config.postgres, pipeline).newest_date,
        served.date if served else None,
    ]
    if dated := [day for day in days if day]:
        return max(dated)
    raise DataError(
        f"{pipeline} has neither a model nor tables to roll back",
        remedy=f"run a night first: nightshift run {pipeline} --date D",
    )


def restore(
    pipeline: Annotated[str, typer.Argument(help=PIPELINE_HELP)],
    model_version: Annotated[
        str, typer.Option(help="Number of the registered model version in MLflow.")
    ],
    out: Annotated[Path, typer.Option(help="File to write the training set to.")] = Path(
        "training_set.parquet"
    ),
) -> None:
    """Restore the training set of a model version, as DVC tracked it.

    Example: nightshift restore fraud --model-version 3 --out training_set.parquet
    """
    from tempfile import TemporaryDirectory

    from jobs.core import settings
    from jobs.stores import registry, snapshots
    from jobs.usecases.discovery import find_usecase

    config = settings.load()
    with TemporaryDirectory() as folder, registry.connect_mlflow(config) as client:
        pointer = registry.snapshot_of(
            client, find_usecase(pipeline).name, model_version, Path(folder)
        )
        md5 = snapshots.restore(config, pointer, out)
    typer.echo(f"{out}: training set of {pipeline} version {model_version}, md5 {md5}")


def params(
    pipeline: Annotated[str, typer.Argument(help=PIPELINE_HELP)] = DEFAULT_PIPELINE,
) -> None:
    """Check params.yaml and print every key with its value and meaning.

    Example: nightshift params fraud
    """
    from jobs.cli.show import Screen
    from jobs.core import settings
    from jobs.steps import sections

    config = settings.load()
    sections.check(config.params_file, pipeline)
    Screen().table(("key", "value", "meaning"), _keys(config, pipeline))


def _keys(config: Settings, pipeline: str) -> Iterator[tuple[str, object, str]]:
    """Yield every key of the pipeline in params.yaml with its value and meaning."""
    from jobs.core import params
    from jobs.usecases.discovery import find_usecase

    first = params.first_date(config.params_file, pipeline)
    yield f"{pipeline}.first_date", first, "first day of the source"
    sections: dict[str, BaseModel] = {
        f"{pipeline}.{step}": params.section(config.params_file, pipeline, step, model)
        for step, model in find_usecase(pipeline).params.items()
    }
    for prefix, values in (sections | {"alerts": params.alerts(config.params_file)}).items():
        for name, field in type(values).model_fields.items():
            yield f"{prefix}.{name}", getattr(values, name), field.description or ""
