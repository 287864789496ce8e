"""Roll back tables, model, or both, in one transaction.

The version that was served is withdrawn, so that publishing its date again does not undo the
rollback. Running the same rollback again (same date, reason and target) changes nothing; another
step back needs a target or another reason. Failpoint: rollback.after_flip.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from jobs.core.errors import ConfigError, DataError
from jobs.core.log import logger
from jobs.serving import promotions, publications
from jobs.serving.promotions import ChampionModel, Promotion
from jobs.serving.publications import Publication, Served
from jobs.serving.stores import Serving, prepare_redis

What = Literal["tables", "model", "both"]
WHAT: tuple[What, ...] = ("tables", "model", "both")
FAILPOINTS = ("rollback.after_flip",)

_VERSION = re.compile(r"\d{8}-[0-9a-f]{12}")
_PREFIX = 8  # least digits of a digest that identify a model


@dataclass(frozen=True)
class RollbackRequest:
    """What to roll back, and where to.

    `to` is a version of the tables, or a model by digest or version; None means the previous one.
    `both` rolls the tables back, and the model to the one that made those tables.
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
                f"{self.to!r} is not a version of tables",
                remedy="choose a version that `nightshift status` lists",
            )

    @property
    def mark(self) -> str:
        return f"rollback {self.date}: {self.reason}"


@dataclass(frozen=True)
class RollbackPlan:
    """What a rollback changes: its targets, None for what stays, and the state before it."""

    tables: Publication | None
    model: ChampionModel | None
    served: Served | None
    champion: ChampionModel | None


def plan(serving: Serving, dsn: str, request: RollbackRequest) -> RollbackPlan:
    """Find the targets; DataError, which lists the choices, if there is nothing to go back to."""
    session, pipeline = serving.session, serving.pipeline
    served = publications.served(session, pipeline)
    rows = promotions.history(dsn, pipeline)
    models = rows.models
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
            f"a model rollback dated {request.date} would change nothing: "
            f"the newest promotion is dated {rows[-1].date}",
            remedy=f"pass --date {rows[-1].date} or later",
        )
    return RollbackPlan(tables, model, served, champion)


def carry_out(
    serving: Serving, request: RollbackRequest, plan: RollbackPlan, now: datetime
) -> list[str]:
    """Move the pointer and record the model's rollback in one transaction.

    Return withdrawn versions.

    Both stores have the complete version before the pointer moves: rows that Redis lacks are loaded
    first. LostTables, without a change, if PostgreSQL does not have what was published.
    """
    session, pipeline, withdrawn = serving.session, serving.pipeline, list[str]()
    if plan.tables and prepare_redis(serving, plan.tables):
        logger(pipeline=pipeline).info(
            "loaded missing rows into Redis", version=plan.tables.version
        )
    kept = {version.version for version in serving.kept()}
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
                from_digest=left.digest if left else None,
                from_version=left.version if left else None,
                to_digest=plan.model.digest,
                to_version=plan.model.version,
                verdict="rollback",
                metrics={},
                reasons=[request.reason],
                approved_by=request.by,
            )
    return withdrawn


def _tables(
    serving: Serving, served: Served | None, rows: Sequence[Promotion], request: RollbackRequest
) -> Publication | None:
    if served is None:
        raise DataError(f"{serving.pipeline} serves nothing yet", remedy="publish a day first")
    kept = [row for row in serving.kept() if row.state != "loading"]
    if request.to and _VERSION.fullmatch(request.to):
        targets = [row for row in kept if row.version == request.to]
    elif request.to:
        digest = _find_model(rows, request.to).digest
        targets = [row for row in kept if row.model_digest == digest and row.state == "current"]
    elif served.reason == request.mark:
        return None  # the same rollback has been done already
    else:
        targets = [row for row in kept if row.version == served.previous]
    if not targets:
        choices = ", ".join(f"{row.version} ({row.state})" for row in kept) or "none"
        raise DataError(
            f"there is no version {request.to} to go back to"
            if request.to
            else f"there is no version before {served.version} to go back to",
            remedy=f"choose one with --to; kept: {choices}",
        )
    return targets[0]


def _model(
    rows: Sequence[Promotion], models: Sequence[ChampionModel], request: RollbackRequest
) -> ChampionModel | None:
    if request.to:
        return _find_model(rows, request.to)
    last = rows[-1] if rows else None
    if (
        last
        and last.kind == "rollback"
        and last.date == request.date
        and list(last.reasons) == [request.reason]
    ):
        return None  # the same rollback has been done already
    if len(models) < 2:
        raise DataError(
            "there is no earlier champion to go back to", remedy="choose a model with --to"
        )
    return models[-2]


def _maker(tables: Publication) -> ChampionModel | None:
    if tables.model_digest is None:
        return None
    return ChampionModel(tables.model_digest, tables.model_version, tables.date)


def _find_model(rows: Sequence[Promotion], name: str) -> ChampionModel:
    """Return a former champion by its version in MLflow or at least 8 digits of its digest."""
    matches = {
        row.to_digest: ChampionModel(row.to_digest, row.to_version, row.date)
        for row in rows
        if row.to_digest
        and (row.to_version == name or (len(name) >= _PREFIX and row.to_digest.startswith(name)))
    }
    if len(matches) != 1:
        choices = sorted(
            {f"{row.to_version} ({row.to_digest[:12]})" for row in rows if row.to_digest}
        )
        raise DataError(
            f"{name!r} matches {'several former champions' if matches else 'no former champion'}",
            remedy=f"choose one of the former champions: {', '.join(choices) or 'none'}",
        )
    return next(iter(matches.values()))
