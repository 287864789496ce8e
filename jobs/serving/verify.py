"""Read served rows back as a client does, and compare them with the predictions."""

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
    """Return checks that readers get the predictions of `day`, published as `version`.

    `sample` rows per table are compared. The served version is read through the current views and
    Redis, the current version of an older day through the history views, if retention keeps it. A
    withdrawn version must not be served.
    """
    publication = publications.find(serving.session, serving.pipeline, version)
    served = publications.served(serving.session, serving.pipeline)
    if publication is None or served is None:
        return [equal(f"{version}.published", 0, 1, "PostgreSQL does not have this version")]
    state = publication.state
    if state == "withdrawn":
        return [
            equal(
                "withdrawn_not_served", float(version in served.pair), 0, f"{version} was withdrawn"
            )
        ]
    checks = [
        equal("current", float(state == "current"), 1, f"{version} is {state}"),
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
        lookups = _sample(table, rows, version, sample)
        if served.version == version:
            checks += _served(serving, table, rows, lookups)
        if version in partitions.attached(serving.session, serving.pipeline, table):
            checks += _kept(serving, table, version, rows, lookups)
    return checks


def _served(serving: Serving, table: Table, rows: pa.Table, lookups: Sample) -> list[Check]:
    """Return checks of the row counts and of sampled lookups in both stores."""
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
                for key, expected in lookups
            ),
            0,
            f"of {len(lookups)} lookups",
        ),
        equal(
            f"{table.name}.redis.differing",
            sum(
                client.from_redis(serving.redis, table, key) != expected
                for key, expected in lookups
            ),
            0,
            f"of {len(lookups)} lookups",
        ),
    ]


def _kept(
    serving: Serving, table: Table, version: str, rows: pa.Table, lookups: Sample
) -> list[Check]:
    """Return checks of the version in the history view."""
    view = SQL("SELECT count(*) FROM {} WHERE version = %s").format(schema.history(table))
    query = SQL("SELECT {} FROM {} WHERE version = %s AND {} ORDER BY {}").format(
        SQL(", ").join(map(Identifier, ("version", *table.schema.names))),
        schema.history(table),
        SQL(" AND ").join(SQL("{} = %s").format(Identifier(name)) for name in table.lookup_key),
        Identifier(table.key[-1]),
    )
    with serving.session.cursor(cursor_factory=RealDictCursor) as cursor:
        differing = 0
        for key, expected in lookups:
            cursor.execute(query, (version, *key))
            differing += client.answers(table, cursor.fetchall()) != expected
    return [
        equal(f"{table.name}.history.rows", _count(serving, view, version), rows.num_rows),
        equal(f"{table.name}.history.differing", differing, 0, f"of {len(lookups)} rows"),
    ]


def _sample(table: Table, rows: pa.Table, version: str, size: int) -> Sample:
    """Return random keys, the same in every run, with the answers that lookups must give."""
    lookups = []
    for _, documents in entries(sampled(rows, table, version, size), table, size):
        for document in map(json.loads, documents.to_pylist()):
            row = document[0] if table.ranked else document
            key = tuple(row[name] for name in table.lookup_key)
            lookups.append((key, answer(version, document)))
    return lookups


def _count(serving: Serving, query: Composable, parameter: object) -> int:
    with serving.session.cursor() as cursor:
        cursor.execute(query, (parameter,))
        row = cursor.fetchone()
        return int(row[0]) if row else 0
