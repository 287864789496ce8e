"""The table `promotions`: which model is champion from which date on; MLflow's aliases follow it.

The last row dated up to a day decides for that day: a rollback takes precedence over the promotion
of its date, a later rollback over an earlier one. A rejected challenger is a row without
`to_digest` and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, TypedDict, Unpack

from psycopg2.extensions import connection, cursor
from psycopg2.extras import Json, RealDictCursor

from jobs.serving import schema

Kind = Literal["promotion", "rollback"]

_RECORD = """
INSERT INTO promotions (pipeline, date, kind, from_digest, from_version, to_digest, to_version,
                        verdict, metrics, reasons, approved_by)
VALUES (%(pipeline)s, %(date)s, %(kind)s, %(from_digest)s, %(from_version)s, %(to_digest)s,
        %(to_version)s, %(verdict)s, %(metrics)s, %(reasons)s, %(approved_by)s)
"""
_REPLACE = """
ON CONFLICT (pipeline, date) WHERE kind = 'promotion' DO UPDATE SET
    from_digest = excluded.from_digest, from_version = excluded.from_version,
    to_digest = excluded.to_digest, to_version = excluded.to_version, verdict = excluded.verdict,
    metrics = excluded.metrics, reasons = excluded.reasons, approved_by = excluded.approved_by,
    at = now()
"""


@dataclass(frozen=True)
class ChampionModel:
    """A promoted model: its digest, its version in MLflow, and the date of its promotion."""

    digest: str
    version: str | None
    date: date


@dataclass(frozen=True)
class Promotion:
    """A row of `promotions`."""

    id: int
    pipeline: str
    date: date
    kind: Kind
    from_digest: str | None
    to_digest: str | None
    from_version: str | None
    to_version: str | None
    verdict: str
    metrics: Mapping[str, float | None]
    reasons: Sequence[str]
    approved_by: str
    at: datetime


class PromotionValues(TypedDict):
    """The columns of a row that its writer decides."""

    kind: Kind
    from_digest: str | None
    from_version: str | None
    to_digest: str | None
    to_version: str | None
    verdict: str
    metrics: Mapping[str, float | None]
    reasons: Sequence[str]
    approved_by: str


class History(tuple[Promotion, ...]):
    """All rows of a pipeline in order of precedence: by date, promotions before rollbacks."""

    def champion(self, day: date, *, inclusive: bool) -> ChampionModel | None:
        """Return the champion by the rows dated up to `day` (`inclusive`) or before it, if any."""
        models = _stack(row for row in self if row.date < day or (inclusive and row.date == day))
        return models[-1] if models else None

    @property
    def models(self) -> list[ChampionModel]:
        """The champion last, before it the models that successive rollbacks would restore."""
        return _stack(self)

    @property
    def pair(self) -> tuple[str | None, str | None]:
        """The digests of the current champion and of the model that a rollback restores."""
        digests = [None, None, *(model.digest for model in self.models)]
        return digests[-1], digests[-2]

    @property
    def newest_date(self) -> date | None:
        """The date of the newest row of any verdict; None without rows."""
        return self[-1].date if self else None

    def rolled_back(self, day: date) -> set[str]:
        """Return the digests of models that were rolled back on a date before `day`."""
        rows = [row for row in self if row.kind == "rollback" and row.date < day]
        return {row.from_digest for row in rows if row.from_digest}


def history(dsn: str, pipeline: str) -> History:
    """Read the rows of a pipeline in a session of its own."""
    with schema.connect_serving_database(dsn) as session:
        return read(session, pipeline)


def read(session: connection, pipeline: str) -> History:
    """Read the rows of a pipeline."""
    with session, session.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(
            "SELECT * FROM promotions WHERE pipeline = %s ORDER BY date, kind = 'rollback', id",
            (pipeline,),
        )
        return History(Promotion(**row) for row in cursor.fetchall())


def record(dsn: str, pipeline: str, day: date, **row: Unpack[PromotionValues]) -> None:
    """Write one row in a session of its own."""
    with schema.connect_serving_database(dsn) as session, session, session.cursor() as cursor:
        insert(cursor, pipeline, day, **row)


def insert(cursor: cursor, pipeline: str, day: date, **row: Unpack[PromotionValues]) -> None:
    """Write one row within the transaction of `cursor`.

    A promotion replaces the promotion of its date; a rollback is always added.
    """
    values = {"metrics": Json(dict(row["metrics"])), "reasons": Json(list(row["reasons"]))}
    replace = _REPLACE if row["kind"] == "promotion" else ""
    cursor.execute(_RECORD + replace, {"pipeline": pipeline, "date": day, **row, **values})


def _stack(rows: Iterable[Promotion]) -> list[ChampionModel]:
    """Return the stack of champions: a promotion pushes, a rollback pops down to its target."""
    stack: list[ChampionModel] = []
    for row in rows:
        if row.to_digest is None or (stack and stack[-1].digest == row.to_digest):
            continue
        places = [at for at, model in enumerate(stack) if model.digest == row.to_digest]
        if row.kind == "rollback" and places:
            del stack[places[-1] + 1 :]
        else:
            stack.append(ChampionModel(row.to_digest, row.to_version, row.date))
    return stack
