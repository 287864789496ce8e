"""Whether what is served is fresh and whole, seen from outside: by the views and the keys that clients read."""

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
    """What clients of a pipeline read; `session` is in one transaction, so that PostgreSQL says one thing."""

    pipeline: str
    tables: tuple[Table, ...]
    session: connection
    keys: redis.Redis

    def look(self, day: date, sample: int, severity: Severity) -> tuple[Served | None, list[Check]]:
        """What is served, and whether it is of `day` or later (of this severity) and both stores hold all of it.

        Of each table `sample` lookups are made in both stores.
        """
        served = publications.served(self.session, self.pipeline)
        known = publications.every(self.session, self.pipeline)
        if served is None:
            return None, [Check(BEHIND, False, 1, 0, severity, f"nothing is served, {day} was due")]
        behind = max((day - served.date).days, 0)
        checks = [at_most(BEHIND, behind, 0, severity, _said(day, served, known))]
        checks += self._whole(
            served, next(each for each in known if each.version == served.version), sample
        )
        if day < served.date:
            checks += self._events(day, known)
        return served, checks

    def _whole(self, served: Served, publication: Publication, sample: int) -> Iterator[Check]:
        """The served version: one pointer in both stores, every row, and lookups that answer alike."""
        pointer = self.keys.served()
        said = f"Redis serves {pointer or 'nothing'}"
        yield equal("redis.pointer", float(pointer == served.version), 1, said)
        for table in self.tables:
            if rows := publication.row_counts.get(table.name):
                yield self._rows(table, served.date, rows)
                chosen = self._sample(table, publication, sample)
                differing = sum(not self._alike(table, key) for key in chosen)
                yield equal(
                    f"{table.name}.redis.differing", differing, 0, f"of {len(chosen)} lookups"
                )

    def _events(self, day: date, known: list[Publication]) -> Iterator[Check]:
        """A day before the served one: the event tables hold it, as far as retention keeps it."""
        current = next(
            (each for each in known if (each.date, each.state) == (day, "current")), None
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
        """Both stores have an answer, and the same."""
        found = client.from_redis(self.keys, table, key)
        return found is not None and found == client.from_postgres(self.session, table, key)

    def _sample(
        self, table: Table, publication: Publication, size: int
    ) -> list[tuple[object, ...]]:
        """Keys of lookups, by a random choice that is the same for a version."""
        query = SQL(
            "SELECT {key} FROM {view} WHERE date = %s GROUP BY {key}"
            " ORDER BY md5(concat_ws(':', %s::text, {key})) LIMIT %s"
        ).format(key=SQL(", ").join(map(Identifier, table.lookup_key)), view=schema.current(table))
        with self.session.cursor() as cursor:
            cursor.execute(query, (publication.date, publication.version, size))
            return list(cursor.fetchall())


def _said(day: date, served: Served, known: list[Publication]) -> str:
    """What is served, since when, and why not the day."""
    hours = (datetime.now(UTC) - served.at).total_seconds() / 3600
    said = f"{served.version} of {served.date} is served, for {hours:.0f} h"
    if served.date >= day:
        return said
    if withdrawn := [
        each.version for each in known if (each.date, each.state) == (day, "withdrawn")
    ]:
        return f"{said}; {withdrawn[0]} was withdrawn: {served.reason}"
    return f"{said}; of {day} there is nothing"
