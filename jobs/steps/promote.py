"""promote: store the gate's verdict in `promotions`, then move the MLflow aliases to match.

`promotions` is the source of truth. If `approval` is manual, a person's answer (the manifest of
approve) decides about a challenger that passed the gate. Option: dag_run, the Airflow run that the
answer must belong to; an answer from a shell counts for every run.
"""

from __future__ import annotations

from typing import NamedTuple

from jobs.core.errors import DataError, NightshiftError
from jobs.core.facts import ApproveFacts, GateFacts, PromoteFacts, Verdict
from jobs.core.manifest import Manifest, manifest_name
from jobs.core.params import PromoteParams
from jobs.evaluation.card import Card
from jobs.serving import promotions, schema
from jobs.serving.promotions import History
from jobs.steps.approve import APPROVED, ASKED, DECLINED, EXPIRED, latest
from jobs.steps.frame import Phases, Result, Staged, Step
from jobs.steps.gate import PROMOTED
from jobs.steps.models import card_path
from jobs.stores import registry
from jobs.usecases.discovery import find_usecase


class Decision(NamedTuple):
    """The verdict as it is recorded, who decided, and the person's comments."""

    verdict: Verdict
    by: str
    comments: tuple[str, ...] = ()


class PromoteInputs(NamedTuple):
    """The session that the whole step uses, the gate's manifest, and the promotions so far."""

    session: schema.Session
    gate: Manifest
    history: History


class Decided(NamedTuple):
    inputs: PromoteInputs
    decision: Decision
    card: str  # the model card of a challenger that won


def read(step: Step) -> PromoteInputs:
    gate = step.manifest("gate")
    session = step.open(schema.connect_serving_database(step.settings.postgres))
    return PromoteInputs(session, gate, promotions.read(session, step.run.pipeline))


def compute(step: Step, inputs: PromoteInputs) -> Decided:
    decision = _decision(step, inputs.gate, inputs.history)
    card = _card(step, inputs.gate, decision.by) if decision.verdict == PROMOTED else ""
    return Decided(inputs, decision, card)


def stage(step: Step, decided: Decided) -> Staged:
    if decided.card:
        path = card_path(step.run.pipeline, str(decided.inputs.gate.model_digest))
        step.lake.write_bytes(path, decided.card.encode())
    return Staged(lambda: _record(step, decided))


def _record(step: Step, decided: Decided) -> Result:
    """Record the decision, and move the aliases."""
    (session, gate, _), decision, _ = decided
    pipeline, day, facts = step.run.pipeline, step.run.date, GateFacts.of(gate)
    won = decision.verdict == PROMOTED
    with session, session.cursor() as cursor:
        promotions.insert(
            cursor,
            pipeline,
            day,
            kind="promotion",
            from_digest=facts.champion,
            from_version=facts.champion_version,
            to_digest=gate.model_digest if won else None,
            to_version=facts.model_version if won else None,
            verdict=decision.verdict,
            metrics=facts.metrics,
            reasons=[*facts.reasons, *decision.comments],
            approved_by=decision.by,
        )
    history = promotions.read(session, pipeline)
    champion = history.champion(day, inclusive=True)
    digest = champion.digest if champion else None
    recorded = PromoteFacts(
        verdict=decision.verdict,
        approved_by=decision.by,
        champion=digest,
        # False if a rollback of the same date outranks it, or a later night has its own champion.
        promoted=won and history.pair[0] == gate.model_digest,
        aliases=move_aliases(step, history, gate, decision.verdict),
    )
    return Result(recorded, model_digest=digest)


def _decision(step: Step, gate: Manifest, history: History) -> Decision:
    """The decision. An answer must be about this challenger, and not follow a later night's
    promotion.
    """
    answer = _answer(step, gate)
    decision = decide(GateFacts.of(gate).verdict, step.params(PromoteParams), answer)
    rows = [row for row in history if row.kind == "promotion"]
    late = bool(answer) and bool(rows) and rows[-1].date > step.run.date
    late = late and step.run.date not in {row.date for row in rows}
    if late and decision.verdict == PROMOTED:
        comment = f"answered after the night of {rows[-1].date}"
        return Decision(EXPIRED, decision.by, (*decision.comments, comment))
    return decision


def _answer(step: Step, gate: Manifest) -> ApproveFacts | None:
    """The answer as approve recorded it; None if nobody has answered in this run.

    Raises DataError if an approval is required and the answer is about another challenger.
    """
    record = latest(step)
    if record is None or (facts := ApproveFacts.of(record)).answer == ASKED:
        return None
    if step.options.get("dag_run") and facts.dag_run not in ("", step.options["dag_run"]):
        return None
    if record.model_digest == gate.model_digest:
        return facts
    if step.params(PromoteParams).approval == "auto":
        return None
    raise DataError(
        f"the answer is about the challenger {str(record.model_digest)[:12]}, but the gate judged "
        f"{str(gate.model_digest)[:12]}",
        remedy="clear approve, which asks about the challenger of the gate",
    )


def decide(verdict: Verdict, params: PromoteParams, answer: ApproveFacts | None = None) -> Decision:
    """The decision from the gate's verdict and a person's answer, if one is required or was given.

    Raises DataError if a required answer is missing. A rejected challenger needs no answer.
    """
    if verdict != PROMOTED or (params.approval == "auto" and answer is None):
        return Decision(verdict, "gate")
    if answer and answer.answer == EXPIRED:
        default: Verdict = PROMOTED if params.default == "Approve" else EXPIRED
        reason = f"no answer within {params.timeout_hours:g} h: {params.default}"
        return Decision(default, "nobody", (reason,))
    if answer and answer.answer != ASKED and answer.by:
        comments = (f"{answer.by}: {answer.comment}",) if answer.comment else ()
        return Decision(PROMOTED if answer.answer == APPROVED else DECLINED, answer.by, comments)
    raise DataError(
        "this promotion waits for a person's approval",
        remedy="answer in Airflow under Required Actions (to be asked again, clear approve), or "
        "run approve with --answer approved (or declined) --by NAME, then promote",
    )


def move_aliases(
    step: Step, history: History, gate: Manifest | None = None, verdict: str = ""
) -> str:
    """Move the MLflow aliases to what `promotions` says, and describe the champion by its model
    card. Returns why the aliases did not move, or "".

    After a gate, it also sets the challenger's tag `verdict`. A date older than the newest row
    moves no alias. If MLflow is down, it only warns, and the next reconcile moves the aliases.
    """
    pipeline = step.run.pipeline
    champion, previous = history.pair
    challenger = gate.model_digest if gate else None
    try:
        if challenger:
            registry.tag(step.settings, pipeline, challenger, "verdict", verdict)
        if gate is None or history.newest_date == step.run.date:
            registry.project_aliases(step.settings, pipeline, champion, previous, challenger)
    except NightshiftError as error:
        step.log.warning("aliases not moved", error=str(error))
        return "not moved: MLflow did not answer; the next reconcile moves them"
    try:
        if champion and step.lake.exists(path := card_path(pipeline, champion)):
            registry.describe(
                step.settings, pipeline, champion, step.lake.read_bytes(path).decode()
            )
    except NightshiftError as error:
        step.log.warning(
            "the model card is only in the lake; the next reconcile tries again", error=str(error)
        )
    return ""


def _card(step: Step, gate: Manifest, approved_by: str) -> str:
    """The model card of the challenger; it describes drift if check_drift of the day has ended."""
    drift = step.lake.manifest(manifest_name(step.run.pipeline, "check_drift", step.run.date))
    card = Card(
        step.manifest("snapshot"),
        step.manifest("train"),
        gate,
        drift,
        approved_by,
        find_usecase(step.run.pipeline).limits,
    )
    return card.to_markdown()


PHASES = Phases(read, compute, stage)
