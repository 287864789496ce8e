"""Check that served tables are fresh and complete, through the views and keys that clients read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime

from psycopg2.extensions import connection
from psycopg2.sql import SQL, Identifier

from jobs.core.checks import Check, Severity, at_most, equal
from jobs.core.tables import Table
from jobs.serving import lookup as client
from jobs.serving import partitions, publications, schema
from jobs.serving.publications import Publication, Served
from jobs.stores import redis

BEHIND = "days_behind"


@dataclass(frozen=True)
class Clients:
    """Client access to a pipeline's stores; `session` is one transaction, a consistent snapshot."""

    pipeline: str
    tables: tuple[Table, ...]
    session: connection
    keys: redis.Redis

    def look(self, day: date, sample: int, severity: Severity) -> tuple[Served | None, list[Check]]:
        """Return the served version, and checks of its date and of its completeness in both stores.

        The check that it is of `day` or later has `severity`; the others fail. `sample` lookups per
        table are made in both stores.
        """
        served = publications.served(self.session, self.pipeline)
        versions = publications.every(self.session, self.pipeline)
        if served is None:
            return None, [Check(BEHIND, False, 1, 0, severity, f"nothing is served, {day} was due")]
        behind = max((day - served.date).days, 0)
        checks = [at_most(BEHIND, behind, 0, severity, _message(day, served, versions))]
        current = next(version for version in versions if version.version == served.version)
        checks += self._complete(served, current, sample)
        if day < served.date:
            checks += self._events(day, versions)
        return served, checks

    def _complete(self, served: Served, publication: Publication, sample: int) -> Iterator[Check]:
        """Yield checks of the served version: pointer, row counts, equal lookups in both stores."""
        pointer = self.keys.served()
        message = f"Redis serves {pointer or 'nothing'}"
        yield equal("redis.pointer", float(pointer == served.version), 1, message)
        for table in self.tables:
            if rows := publication.row_counts.get(table.name):
                yield self._rows(table, served.date, rows)
                keys = self._sample(table, publication, sample)
                differing = sum(not self._alike(table, key) for key in keys)
                yield equal(
                    f"{table.name}.redis.differing", differing, 0, f"of {len(keys)} lookups"
                )

    def _events(self, day: date, versions: list[Publication]) -> Iterator[Check]:
        """Yield checks that event tables have an earlier day, if retention keeps it."""
        current = next(
            (version for version in versions if (version.date, version.state) == (day, "current")),
            None,
        )
        yield equal(
            f"{day}.published", float(current is not None), 1, f"no version of {day} is current"
        )
        if current is None:
            return
        for table in self.tables:
            rows = current.row_counts.get(table.name) if table.kind == "event" else None
            if rows and current.version in partitions.attached(self.session, self.pipeline, table):
                yield self._rows(table, day, rows)

    def _rows(self, table: Table, day: date, published: int) -> Check:
        query = SQL("SELECT count(*) FROM {} WHERE date = %s").format(schema.current(table))
        with self.session.cursor() as cursor:
            cursor.execute(query, (day,))
            (rows,) = cursor.fetchone() or (0,)
        return equal(f"{table.name}.rows", rows, published, f"of {day}")

    def _alike(self, table: Table, key: tuple[object, ...]) -> bool:
        """Whether both stores have an answer and the answers are equal."""
        answer = client.from_redis(self.keys, table, key)
        return answer is not None and answer == client.from_postgres(self.session, table, key)

    def _sample(
        self, table: Table, publication: Publication, size: int
    ) -> list[tuple[object, ...]]:
        """Return random lookup keys; the same version always gives the same keys."""
        query = SQL(
            "SELECT {key} FROM {view} WHERE date = %s GROUP BY {key}"
            " ORDER BY md5(concat_ws(':', %s::text, {key})) LIMIT %s"
        ).format(key=SQL(", ").join(map(Identifier, table.lookup_key)), view=schema.current(table))
        with self.session.cursor() as cursor:
            cursor.execute(query, (publication.date, publication.version, size))
            return list(cursor.fetchall())


def _message(day: date, served: Served, versions: list[Publication]) -> str:
    """Return the served version, for how long it is served, and why it is not that of `day`."""
    hours = (datetime.now(UTC) - served.at).total_seconds() / 3600
    message = f"{served.version} of {served.date} is served, for {hours:.0f} h"
    if served.date >= day:
        return message
    if withdrawn := [
        version.version
        for version in versions
        if (version.date, version.state) == (day, "withdrawn")
    ]:
        return f"{message}; {withdrawn[0]} was withdrawn: {served.reason}"
    return f"{message}; of {day} there is nothing"
