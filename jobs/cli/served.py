"""`nightshift served`: what is served now, and how old it is, on one line for whoever writes an alert."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from jobs.serving.publications import Publication, Served


def served(pipeline: Annotated[str, typer.Argument(help="The use case: fraud or movies.")]) -> None:
    """Print what is served as one line of JSON: version, date, age since it was published, model. All null: nothing is served.

    Example: nightshift served fraud
    """
    from jobs.core import settings
    from jobs.serving import publications, schema
    from jobs.usecases.discovery import tables

    tables(pipeline)  # an unknown pipeline is an error, not one that serves nothing
    with schema.connect(settings.load().postgres, "nightshift served") as session:
        now = publications.served(session, pipeline)
        known = publications.find(session, pipeline, now.version) if now else None
    typer.echo(json.dumps(_line(pipeline, now, known)))


def age(since: datetime) -> str:
    """How long ago that was, in minutes, hours or days."""
    minutes = int((datetime.now(UTC) - since).total_seconds() // 60)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 2880 else f"{minutes // 1440} days"


def _line(pipeline: str, now: Served | None, known: Publication | None) -> dict[str, Any]:
    return {
        "pipeline": pipeline,
        "version": now.version if now else None,
        "date": str(now.date) if now else None,
        "age": age(known.created_at) if known else None,
        "model": known.model_version if known else None,
    }
