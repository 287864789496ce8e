"""`nightshift lookup`, `manifest`, `dsn` and `sql`: read served rows, manifests and history."""

from __future__ import annotations

import json
import re
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from jobs.core.pipelines import PIPELINE_HELP


class Store(StrEnum):
    redis = "redis"
    postgres = "postgres"


class Address(StrEnum):
    postgres = "postgres"
    redis = "redis"
    clickhouse = "clickhouse"
    mlflow = "mlflow"
    source = "source"


def lookup(
    pipeline: Annotated[str, typer.Argument(help=PIPELINE_HELP)],
    entity: Annotated[
        str,
        typer.Argument(
            help="customer, merchant or transaction of fraud; user or features of movies."
        ),
    ],
    id_: Annotated[str, typer.Argument(metavar="ID", help="Its id, spelled as in the data.")],
    algorithm: Annotated[
        str, typer.Option(help="Which recommendations: hybrid, collaborative, content or popular.")
    ] = "hybrid",
    store: Annotated[Store, typer.Option(help="The store to ask.")] = Store.redis,
) -> None:
    """Print the served rows of one customer, merchant, transaction or user as JSON.

    Exits with 1 if the store serves none.

    Example: nightshift lookup fraud customer C0000596 --store postgres;
    nightshift lookup movies user U0000017 --algorithm hybrid
    """
    from jobs.core import settings
    from jobs.core.errors import ConfigError, NightshiftError
    from jobs.core.text import choice, printable_json
    from jobs.serving import lookup as client
    from jobs.usecases.discovery import find_usecase

    usecase = find_usecase(pipeline)
    if entity not in (entities := usecase.entities):
        raise ConfigError(
            f"{pipeline} serves no such entity", input=entity, remedy=choice(entity, entities)
        )
    table, config = usecase.prediction(entities[entity]), settings.load()
    key = (id_, algorithm)[: len(table.lookup_key)]
    answer = client.lookup(config, pipeline, table, key, store.value)
    if answer is None:
        near = ", ".join(client.near(config, table, id_)) or "none; see `nightshift status`"
        raise NightshiftError(
            f"{store.value} serves nothing for this {entity} of {pipeline}",
            input=" ".join(key),
            remedy=f"check the spelling; the nearest served ids: {near}",
        )
    typer.echo(printable_json(json.dumps(answer, indent=1, ensure_ascii=False, default=str)))


def manifest(
    step: Annotated[str, typer.Argument(help="Name of the step.")],
    pipeline: Annotated[str, typer.Option(help=PIPELINE_HELP)],
    date: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="The UTC day D.")],
    attempt: Annotated[str, typer.Option(help="Accept only the manifest of this attempt.")] = "",
    receipt: Annotated[
        Path | None, typer.Option(help="Write outputs and decisions, without times, to this file.")
    ] = None,
) -> None:
    """Print what a step read, wrote and decided for a day, as JSON.

    Fails if the step has not run for that day or not by that attempt, or if its parameters or
    inputs have changed since.

    Example: nightshift manifest train --pipeline fraud --date 2018-07-10
    """
    from jobs.cli.steps import write_receipt
    from jobs.core import params, settings
    from jobs.core.errors import ConfigError
    from jobs.core.text import choice, printable_json
    from jobs.stores.lake import Lake
    from jobs.usecases.discovery import find_usecase

    config = settings.load()
    sections = find_usecase(pipeline).params
    if step not in sections:
        raise ConfigError("there is no such step", input=step, remedy=choice(step, sections))
    section = params.section(config.params_file, pipeline, step, sections[step])
    result = Lake(config.lake).result(pipeline, step, date.date(), section.digest, attempt)
    if receipt:
        write_receipt(result, receipt)
    typer.echo(printable_json(result.to_bytes().decode()))


def dsn(store: Annotated[Address, typer.Argument(help="The store.")]) -> None:
    """Print the address of a store, including the password: keep it out of logs.

    Example: psql "$(nightshift dsn postgres)"
    """
    from jobs.core import settings

    typer.echo(getattr(settings.load(), store.value))


class Form(StrEnum):
    table = "table"
    csv = "csv"
    json = "json"


# ClickHouse's name of each format, with a header where the format has one.
_FORMS = {Form.table: "TabSeparatedWithNames", Form.csv: "CSVWithNames", Form.json: "JSONEachRow"}
_ESCAPED = {"b": "\b", "f": "\f", "r": "\r", "n": "\n", "t": "\t", "0": "\0"}


def sql(
    query: Annotated[
        str,
        typer.Argument(help="One query in ClickHouse's SQL. Table names are <pipeline>.<table>."),
    ],
    form: Annotated[
        Form,
        typer.Option(
            "--format",
            help="table for people; csv (with a header) or json (one object per line) for "
            "programs.",
        ),
    ] = Form.table,
) -> None:
    """Query ClickHouse, which has the full history of aggregates and predictions. Read-only.

    Example: nightshift sql "SELECT date, count(), avg(score) FROM fraud.transaction_scores GROUP BY
    date ORDER BY date"
    """
    from jobs.cli import show
    from jobs.core import settings
    from jobs.stores import reading

    answer = reading.read(settings.load(), query, _FORMS[form])
    if form is not Form.table:
        show.raw(answer)
        return
    columns, *rows = [
        [_value(cell) for cell in line.split("\t")]
        for line in answer.decode(errors="surrogateescape").removesuffix("\n").split("\n")
    ]
    show.Screen().table(columns, rows)


def _value(cell: str) -> str:
    """Return the unescaped value of a cell in ClickHouse's TabSeparated format."""
    return (
        "NULL"
        if cell == r"\N"
        else re.sub(r"\\(.)", lambda pair: _ESCAPED.get(pair[1], pair[1]), cell)
    )
