"""A small pipeline to publish.

Every row of an edition carries its stamp, and the stamp determines the number of rows. Run as a
script, it publishes or rolls back in its own process, so that a failpoint can kill it.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
from psycopg2.extras import RealDictCursor
from psycopg2.sql import SQL, Identifier

from declared import columns_of
from jobs.core.failpoint import failpoint
from jobs.core.params import PublishParams
from jobs.core.tables import Table
from jobs.serving import publications, retention, rollback, stores
from jobs.serving.publish import Edition, Publishing

FIRST = date(2018, 7, 1)
NOON = datetime(2018, 8, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
PARAMS = PublishParams(keep_versions=10, keep_days=30)


def tables(pipeline="demo"):
    """An entity table and an event table, named after the pipeline; two fit in one database."""
    day = pa.field("date", pa.date32(), nullable=False)
    fields = [("stamp", pa.int64()), ("score", pa.float64()), ("note", pa.string())]
    entity = Table(
        f"{pipeline}_risk",
        ("customer_id",),
        columns_of(pa.schema([day, ("customer_id", pa.string()), *fields])),
        "one row a customer",
        "entity",
    )
    event = Table(
        f"{pipeline}_scores",
        ("transaction_id", "part"),
        columns_of(
            pa.schema(
                [
                    day,
                    ("transaction_id", pa.string()),
                    ("part", pa.int64()),
                    *fields,
                    ("at", pa.timestamp("us", "UTC")),
                    ("flagged", pa.bool_()),
                ]
            )
        ),
        "one row a transaction and part",
        "event",
    )
    return entity, event


def size(stamp):
    return 40 + stamp % 7


def edition(day, stamp, pipeline="demo", model="a" * 64):
    """The edition of a day: all rows hold `stamp`, and there are size(stamp) of them."""
    entity, event = tables(pipeline)
    rows = range(size(stamp))
    common = {
        "date": [day] * len(rows),
        "stamp": [stamp] * len(rows),
        "score": [stamp + i / 3 for i in rows],
        "note": [[None, "", 'a "quoted", \\ line\nbreak', "π:%/"][i % 4] for i in rows],
    }
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    events = {
        "transaction_id": [f"t{day:%d}:{i}" for i in rows],
        "part": list(rows),
        "flagged": [i % 2 == 0 for i in rows],
        "at": [noon + timedelta(microseconds=i) for i in rows],
    }
    contents = {
        entity: pa.Table.from_pydict(
            {**common, "customer_id": [f"c{i}" for i in rows]}, schema=entity.schema
        ),
        event: pa.Table.from_pydict({**common, **events}, schema=event.schema),
    }
    return Edition(day, contents, model, "1")


def day(n):
    return FIRST + timedelta(days=n)


def connect(dsn, redis_url, pipeline="demo"):
    return stores.connect_serving_stores(dsn, redis_url, pipeline, tables(pipeline))


def night(both, what, now, params=PARAMS):
    """What the step publish does around its predictions."""
    retention.clean_up(both.session, both.pipeline, both.tables)
    with suppress(stores.LostTables):
        stores.bring_redis_to_postgres(both, now)
    publishing = Publishing(both, what, params, now)
    failpoint("publish.stage")
    missing = publishing.load()
    failpoint("publish.check")
    publishing.attach(missing)
    mended = publishing.mend(missing)
    failpoint("publish.swap")
    return publishing.flip([*missing, *mended])


def go_back(both, dsn, request, now):
    """What the step rollback does."""
    plan = rollback.plan(both, dsn, request)
    withdrawn = rollback.carry_out(both, request, plan, now)
    failpoint("rollback.after_flip")
    stores.bring_redis_to_postgres(both, now)
    return withdrawn


def states(both):
    return {each.version: each.state for each in publications.every(both.session, both.pipeline)}


def shown(both):
    """All that a reader can see of a pipeline, with its name and versions replaced, without times.

    Of Redis, what the two stores hold.
    """

    def rows(view):
        with both.session.cursor(cursor_factory=RealDictCursor) as cursor:
            cursor.execute(SQL("SELECT * FROM {} ORDER BY 1, 2, 3").format(Identifier(view)))
            return [dict(row) for row in cursor.fetchall()]

    served = publications.served(both.session, both.pipeline)
    names = [f"{table.name}_{view}" for table in both.tables for view in ("current", "history")]
    contents = {name: rows(name) for name in names} | {
        "states": states(both),
        "served": (*served.pair, served.reason),
        "pointer": both.redis.served(),
        "redis": {
            key: contents
            for version in served.pair
            for key, contents in redis_content(both, version).items()
        },
    }
    text = json.dumps(contents, default=str).replace(both.pipeline, "demo")
    for n, publication in enumerate(reversed(publications.every(both.session, both.pipeline))):
        text = text.replace(
            publication.version, f"version {n}"
        )  # the tables' names are part of a version
    return json.loads(text)


def redis_content(both, version):
    client = both.redis.client
    read = {"string": client.get, "hash": client.hgetall}
    keys = sorted(client.scan_iter(match=f"ns:{both.pipeline}:{version}*"))
    return {key: read[client.type(key)](key) for key in keys}


def orphans(both):
    """Tables of the pipeline's schema that are no partition: none once a run has ended well."""
    with both.session.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(%s) "
            "AND relkind = 'r'"
            " AND NOT relispartition",
            (both.pipeline,),
        )
        return [row[0] for row in cursor.fetchall()]


def postgres_shows(cursor, pipeline="demo"):
    """(rows, least stamp, greatest stamp) of both current views at the served date, in one read."""
    cursor.execute(
        f"SELECT (SELECT count(*) FROM {pipeline}_risk_current), "
        f"(SELECT min(stamp) FROM {pipeline}_risk_current),"
        f" (SELECT max(stamp) FROM {pipeline}_risk_current), count(*), min(stamp), max(stamp)"
        f" FROM {pipeline}_scores_current WHERE date = "
        f"(SELECT min(date) FROM {pipeline}_risk_current)"
    )
    return cursor.fetchone()


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    moment = datetime.fromisoformat(asked["now"])
    with connect(asked["dsn"], asked["redis"], asked["pipeline"]) as opened:
        if asked["what"] == "publish":
            night(
                opened,
                edition(date.fromisoformat(asked["day"]), asked["stamp"], asked["pipeline"]),
                moment,
                PublishParams(**asked["params"]),
            )
        else:
            go_back(
                opened,
                asked["dsn"],
                rollback.RollbackRequest(date.fromisoformat(asked["day"]), "bad", "tables"),
                moment,
            )
