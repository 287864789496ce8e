"""Reading back what is served, as a client does, and holding it against the predictions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date

import pyarrow as pa
from psycopg2.extras import RealDictCursor
from psycopg2.sql import SQL, Composable, Identifier

from jobs.core.checks import Check, equal
from jobs.core.tables import Table
from jobs.serving import lookup as client
from jobs.serving import partitions, publications, schema
from jobs.serving.stores import Serving
from jobs.stores.documents import answer, entries, sampled

Sample = list[tuple[tuple[object, ...], client.Answer]]


def verify(
    serving: Serving, day: date, version: str, predicted: Mapping[Table, pa.Table], sample: int
) -> list[Check]:
    """Whether readers get what was predicted for `day`, published as `version`; `sample` rows a table are compared.

    The served version is read through the current views and Redis; the current version of an older day
    through the history views, as far as retention keeps it; of a withdrawn one, that nobody gets it.
    """
    known = publications.find(serving.session, serving.pipeline, version)
    served = publications.served(serving.session, serving.pipeline)
    if known is None or served is None:
        return [equal(f"{version}.published", 0, 1, "PostgreSQL does not know this version")]
    if known.state == "withdrawn":
        return [
            equal(
                "withdrawn_not_served", float(version in served.pair), 0, f"{version} was withdrawn"
            )
        ]
    checks = [
        equal("current", float(known.state == "current"), 1, f"{version} is {known.state}"),
        equal(
            "served",
            float(served.version == version or served.date > day),
            1,
            f"{served.version} is served",
        ),
        equal(
            "redis.pointer",
            float(serving.redis.served() == served.version),
            1,
            "both stores serve one version",
        ),
    ]
    for table, rows in predicted.items():
        chosen = _sample(table, rows, version, sample)
        if served.version == version:
            checks += _served(serving, table, rows, chosen)
        if version in partitions.attached(serving.session, serving.pipeline, table):
            checks += _kept(serving, table, version, rows, chosen)
    return checks


def _served(serving: Serving, table: Table, rows: pa.Table, chosen: Sample) -> list[Check]:
    """What lookups in both stores answer, and whether they know every row."""
    view = SQL("SELECT count(*) FROM {} WHERE date = %s").format(schema.current(table))
    day = publications.served(serving.session, serving.pipeline)
    assert day is not None
    return [
        equal(f"{table.name}.postgres.rows", _count(serving, view, day.date), rows.num_rows),
        equal(f"{table.name}.redis.missing", serving.redis.missing(day.version, table, rows), 0),
        equal(
            f"{table.name}.postgres.differing",
            sum(
                client.from_postgres(serving.session, table, key) != expected
                for key, expected in chosen
            ),
            0,
            f"of {len(chosen)} lookups",
        ),
        equal(
            f"{table.name}.redis.differing",
            sum(
                client.from_redis(serving.redis, table, key) != expected for key, expected in chosen
            ),
            0,
            f"of {len(chosen)} lookups",
        ),
    ]


def _kept(
    serving: Serving, table: Table, version: str, rows: pa.Table, chosen: Sample
) -> list[Check]:
    """What the history view holds of the version."""
    view = SQL("SELECT count(*) FROM {} WHERE version = %s").format(schema.history(table))
    query = SQL("SELECT {} FROM {} WHERE version = %s AND {} ORDER BY {}").format(
        SQL(", ").join(map(Identifier, ("version", *table.schema.names))),
        schema.history(table),
        SQL(" AND ").join(SQL("{} = %s").format(Identifier(name)) for name in table.lookup_key),
        Identifier(table.key[-1]),
    )
    with serving.session.cursor(cursor_factory=RealDictCursor) as cursor:
        differing = 0
        for key, expected in chosen:
            cursor.execute(query, (version, *key))
            differing += client.answers(table, cursor.fetchall()) != expected
    return [
        equal(f"{table.name}.history.rows", _count(serving, view, version), rows.num_rows),
        equal(f"{table.name}.history.differing", differing, 0, f"of {len(chosen)} rows"),
    ]


def _sample(table: Table, rows: pa.Table, version: str, size: int) -> Sample:
    """Keys of rows at random, the same in each run, with the answer that a lookup must give."""
    found = []
    for _, documents in entries(sampled(rows, table, version, size), table, size):
        for document in map(json.loads, documents.to_pylist()):
            row = document[0] if table.ranked else document
            found.append((tuple(row[name] for name in table.lookup_key), answer(version, document)))
    return found


def _count(serving: Serving, query: Composable, parameter: object) -> int:
    with serving.session.cursor() as cursor:
        cursor.execute(query, (parameter,))
        row = cursor.fetchone()
        return int(row[0]) if row else 0
