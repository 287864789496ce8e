"""approve: record that a person was asked about the challenger of D, and what they answered, for promote to read.

Options: answer (asked, approved, declined, expired), by (who answered), comment, and dag_run (the run of Airflow that asks;
empty in a shell). An answer that a run brings is about the model that the same run asked about.
"""

from __future__ import annotations

from jobs.core.errors import DataError
from jobs.core.manifest import Manifest, manifest_name
from jobs.steps.frame import Step

ASKED, APPROVED, DECLINED, EXPIRED = "asked", "approved", "declined", "expired"
ANSWERS = (ASKED, APPROVED, DECLINED, EXPIRED)


def run(step: Step) -> None:
    given = {"answer": ASKED, "by": "", "comment": "", "dag_run": ""} | step.options
    if given["answer"] in (APPROVED, DECLINED) and not given["by"]:
        raise DataError(
            f"the answer {given['answer']} names nobody",
            remedy="say who answers: --by NAME",
            input="--by",
        )
    step.at("window")
    gate = step.manifest("gate")
    step.at("read")
    if given["dag_run"] and given["answer"] != ASKED:
        _same_question(step, gate, given["dag_run"])
    step.model_digest = gate.model_digest
    step.facts |= given


def latest(step: Step) -> Manifest | None:
    """The newest question or answer of D; None when nobody was asked."""
    return step.lake.manifest(manifest_name(step.run.pipeline, "approve", step.run.date))


def _same_question(step: Step, gate: Manifest, run: str) -> None:
    """Raises DataError where the run that answers did not ask last, or asked about another model."""
    question = latest(step)
    if question is None or question.facts["dag_run"] != run:
        raise DataError(
            f"the run {run} did not ask the newest question of this day",
            remedy="answer in the newest run of the day; or clear approve there, which asks again",
        )
    if question.model_digest != gate.model_digest:
        raise DataError(
            "the answer is about another challenger than the gate's "
            f"({str(question.model_digest)[:12]}, not {str(gate.model_digest)[:12]})",
            remedy="clear approve, which asks about this one",
        )
