"""approve: record the question about the challenger of D and a person's answer, which promote
reads.

Options: answer (asked, approved, declined, expired), by (who answered), comment, and dag_run (the
Airflow run that asks; empty in a shell). An answer from a run must be about the model that the same
run asked about.
"""

from __future__ import annotations

from typing import Final

from jobs.core.errors import DataError
from jobs.core.facts import ApproveFacts
from jobs.core.manifest import Manifest, manifest_name
from jobs.steps.frame import Phases, Result, Staged, Step, unchanged

ASKED: Final = "asked"
APPROVED: Final = "approved"
DECLINED: Final = "declined"
EXPIRED: Final = "expired"


def read(step: Step) -> Result:
    answer = ApproveFacts.model_validate(
        {"answer": ASKED, "by": "", "comment": "", "dag_run": "", **step.options}
    )
    if answer.answer in (APPROVED, DECLINED) and not answer.by:
        raise DataError(
            f"the answer {answer.answer} does not say who gave it",
            remedy="add --by NAME",
            input="--by",
        )
    gate = step.manifest("gate")
    if answer.dag_run and answer.answer != ASKED:
        _check_question(step, gate, answer.dag_run)
    return Result(answer, model_digest=gate.model_digest)


def stage(step: Step, answer: Result) -> Staged:
    return Staged(lambda: answer)


def latest(step: Step) -> Manifest | None:
    """The newest question or answer of D; None if nobody was asked."""
    return step.lake.manifest(manifest_name(step.run.pipeline, "approve", step.run.date))


def _check_question(step: Step, gate: Manifest, run: str) -> None:
    """Raise DataError if `run` did not ask last, or if it asked about another model."""
    question = latest(step)
    if question is None or ApproveFacts.of(question).dag_run != run:
        raise DataError(
            f"the run {run} did not ask the newest question of this day",
            remedy="answer in the newest run of the day, or clear approve there, which asks again",
        )
    if question.model_digest != gate.model_digest:
        raise DataError(
            f"the answer is about the challenger {str(question.model_digest)[:12]}, but the gate "
            f"judged {str(gate.model_digest)[:12]}",
            remedy="clear approve, which asks about the challenger of the gate",
        )


PHASES = Phases(read, unchanged, stage)
