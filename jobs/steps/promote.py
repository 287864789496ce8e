"""promote: store the gate's verdict in `promotions`, which is the truth, then move the MLflow aliases to match.

Where `approval` is manual, a person's answer (the manifest of approve) decides about a challenger that passed the gate.
Option: dag_run, the run of Airflow for which the answer must have been given; one that was given in a shell counts for each.
"""

from __future__ import annotations

from typing import NamedTuple

from jobs.core.errors import DataError, NightshiftError
from jobs.core.manifest import Manifest, manifest_name
from jobs.core.params import PromoteParams
from jobs.evaluation.card import Card
from jobs.serving import promotions
from jobs.steps.approve import APPROVED, ASKED, DECLINED, EXPIRED, latest
from jobs.steps.frame import Step
from jobs.steps.gate import PROMOTED
from jobs.steps.models import card_path
from jobs.stores import registry
from jobs.usecases.discovery import find_usecase


class Outcome(NamedTuple):
    """The verdict as it is recorded, and by whom."""

    verdict: str
    by: str
    said: tuple[str, ...] = ()


def run(step: Step) -> None:
    pipeline, day, dsn = step.run.pipeline, step.run.date, step.settings.postgres
    step.at("window")
    gate = step.manifest("gate")
    step.at("read")
    facts = gate.facts
    step.at("compute")
    outcome = _outcome(step, gate)
    won = outcome.verdict == PROMOTED
    card = _card(step, gate, outcome.by) if won else ""
    step.at("stage")
    if won:
        step.lake.write_bytes(card_path(pipeline, str(gate.model_digest)), card.encode())
    step.at("check")
    step.at("swap")
    promotions.record(
        dsn,
        pipeline,
        day,
        kind="promotion",
        from_digest=facts["champion"],
        from_version=facts["champion_version"],
        to_digest=gate.model_digest if won else None,
        to_version=facts["model_version"] if won else None,
        verdict=outcome.verdict,
        metrics=facts["metrics"],
        reasons=[*facts["reasons"], *outcome.said],
        approved_by=outcome.by,
    )
    champion = promotions.champion(dsn, pipeline, day, inclusive=True)
    step.model_digest = champion.digest if champion else None
    step.facts |= {
        "verdict": outcome.verdict,
        "approved_by": outcome.by,
        "champion": step.model_digest,
        # Not where a rollback of the same date outranks it, or a later night has its own champion.
        "promoted": won and promotions.pair(dsn, pipeline)[0] == gate.model_digest,
    }
    move_aliases(step, gate, outcome.verdict)


def _outcome(step: Step, gate: Manifest) -> Outcome:
    """The outcome, and two guards: the answer is about this challenger, and does not come after a later night's."""
    answered = _answer(step, gate)
    outcome = decide(gate.facts["verdict"], step.params(PromoteParams), **answered)
    rows = [
        row
        for row in promotions.history(step.settings.postgres, step.run.pipeline)
        if row.kind == "promotion"
    ]
    late = bool(answered) and bool(rows) and rows[-1].date > step.run.date
    late = late and step.run.date not in {row.date for row in rows}
    if late and outcome.verdict == PROMOTED:
        return Outcome(
            EXPIRED, outcome.by, (*outcome.said, f"answered after the night of {rows[-1].date}")
        )
    return outcome


def _answer(step: Step, gate: Manifest) -> dict[str, str]:
    """answer, by and comment as approve recorded them; {} while nobody has answered in this run.

    DataError where the answer is about another challenger and this one waits for an approval.
    """
    record = latest(step)
    if record is None or record.facts["answer"] == ASKED:
        return {}
    if step.options.get("dag_run") and record.facts["dag_run"] not in ("", step.options["dag_run"]):
        return {}
    if record.model_digest == gate.model_digest:
        return {name: record.facts[name] for name in ("answer", "by", "comment")}
    if step.params(PromoteParams).approval == "auto":
        return {}
    raise DataError(
        "the answer is about another challenger than the gate's "
        f"({str(record.model_digest)[:12]}, not {str(gate.model_digest)[:12]})",
        remedy="clear approve, which asks about this one",
    )


def decide(
    verdict: str, params: PromoteParams, answer: str | None = None, by: str = "", comment: str = ""
) -> Outcome:
    """What the gate's verdict comes to, with the answer of a person where params ask for one, or somebody gave one.

    DataError when the answer is still missing. Nobody is asked about a rejected challenger.
    """
    if verdict != PROMOTED or (params.approval == "auto" and answer is None):
        return Outcome(verdict, "gate")
    said = (f"{by}: {comment}",) if comment else ()
    if answer == EXPIRED:
        answered = PROMOTED if params.default == "Approve" else EXPIRED
        return Outcome(
            answered, "nobody", (f"no answer within {params.timeout_hours:g} h: {params.default}",)
        )
    if answer in (APPROVED, DECLINED) and by:
        return Outcome(PROMOTED if answer == APPROVED else DECLINED, by, said)
    raise DataError(
        "this promotion waits for a person's approval",
        remedy="answer in Airflow under Required Actions (clear approve to be asked again), or run approve with "
        "--answer approved (or declined) --by NAME, then promote",
    )


def move_aliases(step: Step, gate: Manifest | None = None, verdict: str = "") -> None:
    """Have the MLflow aliases follow `promotions`, and, after a gate, the challenger's tag `verdict` follow it; the
    champion's version is described by its card.

    A date older than the newest row moves no alias. That MLflow is down must not cost the day's tables: the next
    reconcile moves the aliases.
    """
    dsn, pipeline = step.settings.postgres, step.run.pipeline
    champion, previous = promotions.pair(dsn, pipeline)
    challenger = gate.model_digest if gate else None
    try:
        if challenger:
            registry.tag(step.settings, pipeline, challenger, "verdict", verdict)
        if gate is None or promotions.newest_date(dsn, pipeline) == step.run.date:
            registry.project_aliases(step.settings, pipeline, champion, previous, challenger)
    except NightshiftError as error:
        step.log.warning("aliases not moved", error=str(error))
        step.facts["aliases"] = "not moved: MLflow did not answer; the next reconcile moves them"
        return
    try:
        if champion and step.lake.exists(path := card_path(pipeline, champion)):
            registry.describe(
                step.settings, pipeline, champion, step.lake.read_bytes(path).decode()
            )
    except NightshiftError as error:
        step.log.warning(
            "the model card is in the lake alone; the next reconcile tries again", error=str(error)
        )


def _card(step: Step, gate: Manifest, approved_by: str) -> str:
    """The model card of the challenger; drift is told where check_drift of the day ended."""
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
