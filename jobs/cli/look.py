"""What the platform serves, seen from a shell: single answers, addresses, and SQL over the long history."""

from __future__ import annotations

import json
import re
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Store(StrEnum):
    redis = "redis"
    postgres = "postgres"


class Address(StrEnum):
    postgres = "postgres"
    redis = "redis"
    clickhouse = "clickhouse"
    mlflow = "mlflow"
    source = "source"


# What a person calls an entity, and the table that answers for it.
ENTITIES = {
    "fraud": {
        "customer": "customer_risk",
        "merchant": "merchant_risk",
        "transaction": "transaction_scores",
    },
    "movies": {"user": "recommendations", "features": "user_features"},
}


def lookup(
    pipeline: Annotated[str, typer.Argument(help="The use case: fraud or movies.")],
    entity: Annotated[
        str,
        typer.Argument(
            help="customer, merchant or transaction of fraud; user or features of movies."
        ),
    ],
    id_: Annotated[str, typer.Argument(metavar="ID", help="As the data has it.")],
    algorithm: Annotated[
        str, typer.Option(help="Which recommendations: hybrid, collaborative, content or popular.")
    ] = "hybrid",
    store: Annotated[Store, typer.Option(help="The store to ask.")] = Store.redis,
) -> None:
    """Print what is served about one customer, merchant, transaction or user, as JSON. Exits with 1 if nothing is.

    Example: nightshift lookup fraud customer C0000596 --store postgres;
    nightshift lookup movies user U0000017 --algorithm hybrid
    """
    from jobs.core import settings
    from jobs.core.errors import ConfigError, NightshiftError
    from jobs.core.text import choice, printable_json
    from jobs.serving import lookup as client
    from jobs.usecases.discovery import prediction, tables

    tables(pipeline)
    if entity not in (entities := ENTITIES[pipeline]):
        raise ConfigError(
            f"{pipeline} serves no such entity", input=entity, remedy=choice(entity, entities)
        )
    table, chosen = prediction(pipeline, entities[entity]), settings.load()
    key = (id_, algorithm)[: len(table.lookup_key)]
    found = client.lookup(chosen, pipeline, table, key, store.value)
    if found is None:
        near = ", ".join(client.near(chosen, table, id_)) or "none; see `nightshift status`"
        raise NightshiftError(
            f"{store.value} serves nothing for this {entity} of {pipeline}",
            input=" ".join(key),
            remedy=f"check the spelling; the nearest that are served: {near}",
        )
    typer.echo(printable_json(json.dumps(found, indent=1, ensure_ascii=False, default=str)))


def manifest(
    step: Annotated[str, typer.Argument(help="Name of the step.")],
    pipeline: Annotated[str, typer.Option(help="The use case: fraud or movies.")],
    date: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="The UTC day D.")],
    attempt: Annotated[str, typer.Option(help="Accept only what this attempt left.")] = "",
    receipt: Annotated[
        Path | None, typer.Option(help="Write what was produced to this file.")
    ] = None,
) -> None:
    """Print what a step read, wrote and decided for a day, as JSON.

    Fails if the step has not run for that day, or not by that attempt, or if its parameters or inputs have changed since.

    Example: nightshift manifest train --pipeline fraud --date 2018-07-10
    """
    from jobs.cli.steps import write_receipt
    from jobs.core import params, settings
    from jobs.core.errors import ConfigError
    from jobs.core.text import choice, printable_json
    from jobs.stores.lake import Lake
    from jobs.usecases.discovery import parameters

    chosen = settings.load()
    if step not in parameters(pipeline):
        raise ConfigError(
            "there is no such step", input=step, remedy=choice(step, parameters(pipeline))
        )
    section = params.section(chosen.params_file, pipeline, step, parameters(pipeline)[step])
    found = Lake(chosen.lake).result(pipeline, step, date.date(), section.digest, attempt)
    if receipt:
        write_receipt(found, receipt)
    typer.echo(printable_json(found.to_bytes().decode()))


def dsn(store: Annotated[Address, typer.Argument(help="The store.")]) -> None:
    """Print the address of a store, password included: keep it out of logs.

    Example: psql "$(nightshift dsn postgres)"
    """
    from jobs.core import settings

    typer.echo(getattr(settings.load(), store.value))


class Form(StrEnum):
    table = "table"
    csv = "csv"
    json = "json"


# The formats of ClickHouse that these are, each with a header if it has one.
_FORMS = {Form.table: "TabSeparatedWithNames", Form.csv: "CSVWithNames", Form.json: "JSONEachRow"}
_ESCAPED = {"b": "\b", "f": "\f", "r": "\r", "n": "\n", "t": "\t", "0": "\0"}


def sql(
    query: Annotated[
        str,
        typer.Argument(help="One query in ClickHouse's SQL. Tables are named <pipeline>.<table>."),
    ],
    form: Annotated[
        Form,
        typer.Option(
            "--format",
            help="table for people; csv, with a header, or json, one object per line, for programs.",
        ),
    ] = Form.table,
) -> None:
    """Query ClickHouse, where the long history of aggregates and predictions is. Only reads.

    Example: nightshift sql "SELECT date, count(), avg(score) FROM fraud.transaction_scores GROUP BY date ORDER BY date"
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
    """The value of a cell of ClickHouse's TabSeparated."""
    return (
        "NULL"
        if cell == r"\N"
        else re.sub(r"\\(.)", lambda pair: _ESCAPED.get(pair[1], pair[1]), cell)
    )
