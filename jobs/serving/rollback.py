"""Going back: tables, model, or both, in one transaction, so that both or neither are what they were.

The version that is left is withdrawn, so that publishing its date again does not undo it. Running the same
rollback again (same date, same reason, same target) changes nothing; a further step back takes a target or
another reason. Failpoint: rollback.after_flip.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from jobs.core.errors import ConfigError, DataError
from jobs.core.log import logger
from jobs.serving import promotions, publications
from jobs.serving.promotions import Champion, Promotion
from jobs.serving.publications import Publication, Served
from jobs.serving.stores import Serving, prepare_redis

What = Literal["tables", "model", "both"]
WHAT: tuple[What, ...] = ("tables", "model", "both")
FAILPOINTS = ("rollback.after_flip",)

_VERSION = re.compile(r"\d{8}-[0-9a-f]{12}")
_PREFIX = 8  # digits of a digest that name a model


@dataclass(frozen=True)
class Request:
    """What to take back. `to` is a version of the tables, or a model by digest or version; None: the previous.

    `both` takes the tables back and the model to the one that made them.
    """

    date: date
    reason: str
    what: What = "both"
    to: str | None = None
    by: str = "operator"

    def __post_init__(self) -> None:
        if self.what not in WHAT:
            raise ConfigError(
                f"{self.what!r} cannot be rolled back", remedy=f"choose one of {', '.join(WHAT)}"
            )
        if not self.reason.strip():
            raise ConfigError("a rollback needs a reason", remedy='say why: --reason "..."')
        if self.to and self.what == "tables" and not _VERSION.fullmatch(self.to):
            raise ConfigError(
                f"{self.to!r} is no version", remedy="`nightshift status` lists the versions"
            )

    @property
    def mark(self) -> str:
        return f"rollback {self.date}: {self.reason}"


@dataclass(frozen=True)
class Plan:
    """What a rollback comes to: the targets, None where nothing moves, and where it starts from."""

    tables: Publication | None
    model: Champion | None
    served: Served | None
    champion: Champion | None

    def facts(self) -> dict[str, Any]:
        return {
            "version": self.tables.version if self.tables else None,
            "left_version": self.served.version if self.tables and self.served else None,
            "model": self.model.digest if self.model else None,
            "left_model": self.champion.digest if self.model and self.champion else None,
        }


def plan(serving: Serving, dsn: str, request: Request) -> Plan:
    """Find the targets; DataError, naming what there is, when there is nothing to go back to."""
    session, pipeline = serving.session, serving.pipeline
    served = publications.served(session, pipeline)
    rows = promotions.history(dsn, pipeline)
    models = promotions.models(dsn, pipeline)
    champion = models[-1] if models else None
    tables, model = None, None
    if request.what != "model":
        tables = _tables(serving, served, rows, request)
    if request.what == "model":
        model = _model(rows, models, request)
    elif request.what == "both" and tables:
        model = _maker(tables)
    if tables and served and tables.version == served.version:
        tables = None
    if model and champion and model.digest == champion.digest:
        model = None
    if model and rows and request.date < rows[-1].date:
        raise DataError(
            f"a model rollback dated {request.date} would change nothing: promotions go up to {rows[-1].date}",
            remedy=f"date it {rows[-1].date} or later",
        )
    return Plan(tables, model, served, champion)


def carry_out(serving: Serving, request: Request, plan: Plan, now: datetime) -> list[str]:
    """Move the pointer and record the model's rollback, in one transaction; returns the versions withdrawn.

    Both stores hold the version whole before anything moves: what Redis lacks of it is loaded. LostTables, and
    no change, when PostgreSQL does not hold what was published.
    """
    session, pipeline, withdrawn = serving.session, serving.pipeline, list[str]()
    if plan.tables and prepare_redis(serving, plan.tables):
        logger(pipeline=pipeline).info(
            "loaded into Redis what it lacked", version=plan.tables.version
        )
    kept = {each.version for each in serving.kept()}
    with session, session.cursor() as cursor:
        if plan.tables:
            withdrawn = publications.go_back(
                cursor, pipeline, plan.tables.version, kept, request.mark, now
            )
        if plan.model:
            left = plan.champion
            promotions.insert(
                cursor,
                pipeline,
                request.date,
                kind="rollback",
                from_digest=left and left.digest,
                from_version=left and left.version,
                to_digest=plan.model.digest,
                to_version=plan.model.version,
                verdict="rollback",
                metrics={},
                reasons=[request.reason],
                approved_by=request.by,
            )
    return withdrawn


def _tables(
    serving: Serving, served: Served | None, rows: Sequence[Promotion], request: Request
) -> Publication | None:
    if served is None:
        raise DataError(f"{serving.pipeline} serves nothing yet", remedy="publish a day first")
    kept = [each for each in serving.kept() if each.state != "loading"]
    if request.to and _VERSION.fullmatch(request.to):
        found = [each for each in kept if each.version == request.to]
    elif request.to:
        digest = _find_model(rows, request.to).digest
        found = [each for each in kept if each.model_digest == digest and each.state == "current"]
    elif served.reason == request.mark:
        return None  # this very rollback has been done
    else:
        found = [each for each in kept if each.version == served.previous]
    if not found:
        known = ", ".join(f"{each.version} ({each.state})" for each in kept) or "none"
        raise DataError(
            f"there is no version {request.to} to go back to"
            if request.to
            else f"there is no version before {served.version} to go back to",
            remedy=f"choose one with --to; kept: {known}",
        )
    return found[0]


def _model(
    rows: Sequence[Promotion], models: Sequence[Champion], request: Request
) -> Champion | None:
    if request.to:
        return _find_model(rows, request.to)
    last = rows[-1] if rows else None
    if (
        last
        and last.kind == "rollback"
        and last.date == request.date
        and list(last.reasons) == [request.reason]
    ):
        return None  # this very rollback has been done
    if len(models) < 2:
        raise DataError(
            "there is no earlier champion to go back to", remedy="choose a model with --to"
        )
    return models[-2]


def _maker(tables: Publication) -> Champion | None:
    if tables.model_digest is None:
        return None
    return Champion(tables.model_digest, tables.model_version, tables.date)


def _find_model(rows: Sequence[Promotion], name: str) -> Champion:
    """A model that was champion, by its digest (or the first 8 digits or more of it) or its version in MLflow."""
    found = {
        row.to_digest: Champion(row.to_digest, row.to_version, row.date)
        for row in rows
        if row.to_digest
        and (row.to_version == name or (len(name) >= _PREFIX and row.to_digest.startswith(name)))
    }
    if len(found) != 1:
        known = sorted(
            {f"{row.to_version} ({row.to_digest[:12]})" for row in rows if row.to_digest}
        )
        raise DataError(
            f"{name!r} names {'no model' if not found else 'several models'} that was champion",
            remedy=f"models: {', '.join(known) or 'none'}",
        )
    return next(iter(found.values()))
