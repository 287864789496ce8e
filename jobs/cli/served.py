"""`nightshift served`: print the served version and its age as one line, for alerts."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from jobs.core.pipelines import PIPELINE_HELP

if TYPE_CHECKING:
    from jobs.serving.publications import Publication, Served


def served(pipeline: Annotated[str, typer.Argument(help=PIPELINE_HELP)]) -> None:
    """Print the served version, its date, age since publication and model as one line of JSON.

    All values are null if nothing is served.

    Example: nightshift served fraud
    """
    from jobs.core import settings
    from jobs.serving import publications, schema
    from jobs.usecases.discovery import find_usecase

    find_usecase(pipeline)  # raises for an unknown pipeline
    with schema.connect_serving_database(settings.load().postgres, "nightshift served") as session:
        now = publications.served(session, pipeline)
        publication = publications.find(session, pipeline, now.version) if now else None
    typer.echo(json.dumps(_line(pipeline, now, publication)))


def age(since: datetime) -> str:
    """Return the time since then as text, in minutes, hours or days."""
    minutes = int((datetime.now(UTC) - since).total_seconds() // 60)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 2880 else f"{minutes // 1440} days"


def _line(
    pipeline: str, now: Served | None, publication: Publication | None
) -> dict[str, str | None]:
    return {
        "pipeline": pipeline,
        "version": now.version if now else None,
        "date": str(now.date) if now else None,
        "age": age(publication.created_at) if publication else None,
        "model": publication.model_version if publication else None,
    }
