"""A person's word between gate and promote: the question, and the answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import date, timedelta
from inspect import getdoc
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param

from jobs.core.params import PromoteParams
from nightshift_dates import day_of
from nightshift_steps import RETRY_POLICY, MendFirst, asked
from nightshift_triage import runbook

if TYPE_CHECKING:
    from airflow.sdk import Context

APPROVE, REJECT = "Approve", "Reject"
ASKED = "asked"  # the XCom with the digest of the model in question
ANSWERS = {APPROVE: "approved", REJECT: "declined"}


class Approval(HITLOperator):
    """Ask a person whether the challenger that passed the gate becomes champion; nobody is asked about a rejected one.

    Until somebody answers, or the time is over, no slot is taken; the day is published meanwhile, by the champion there is.
    """

    template_fields = ()  # what checks say is text, not a template
    ui_color = "#fef7e0"

    def __init__(self, *, pipeline: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline

    def execute(self, context: Context) -> None:
        """Asks, and ends the process; returns where there is nothing to ask. Raises StepFailed or MendFirst."""
        if (context["ti"].xcom_pull(task_ids="gate") or {}).get("verdict") == "rejected":
            self.log.info("the gate rejected the challenger: nobody is asked, promote records it")
            return
        day = day_of(context)
        gate = _manifest(self.pipeline, "gate", day)
        report = ""
        with suppress(MendFirst):  # check_drift failed, or has judged something else than this night
            report = _manifest(self.pipeline, "check_drift", day)["facts"].get("report_url", "")
        self.subject = f"Promote the challenger of {self.pipeline}, {day}?"
        self.body = question(gate, report)
        # The gate may have judged another challenger by the time that somebody answers.
        context["ti"].xcom_push(key=ASKED, value=gate["model_digest"])
        super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, str]:
        """What promote is told: the answer (approved, declined; expired without one), by whom, the comment, and about which
        model."""
        given = super().execute_complete(context, event)
        who = given["responded_by_user"]
        return {
            "answer": ANSWERS[given["chosen_options"][0]] if who else "expired",
            "by": who["name"] if who else "nobody",
            "comment": str(given["params_input"].get("comment") or ""),
            "model": context["ti"].xcom_pull(task_ids=self.task_id, key=ASKED),
        }


def approve_task(pipeline: str, known: PromoteParams) -> Approval:
    """The task; tried again, it asks anew."""
    comment = Param(
        None, type=["null", "string"], format="multiline", maxLength=500, title="Comment",
        description="Why; stored with the promotion.",
    )  # fmt: skip
    return Approval(
        pipeline=pipeline, task_id="approve", subject=f"Promote the challenger of {pipeline}?",
        options=[APPROVE, REJECT], defaults=known.default, params={"comment": comment},
        response_timeout=timedelta(hours=known.timeout_hours), execution_timeout=timedelta(minutes=5),
        retry_policy=RETRY_POLICY, doc_md=f"{getdoc(Approval)}\n\n{runbook('approve')}",
    )  # fmt: skip


def question(gate: Mapping[str, Any], report: str) -> str:
    """What is asked, in Markdown: the verdict, both models' metrics, every check, and where the drift report is."""
    facts = gate["facts"]
    champion = facts["champion_metrics"] or {}
    metrics = (
        (name, _number(value), _number(champion.get(name))) for name, value in facts["metrics"].items()
    )
    checks = (
        (each["name"], _outcome(each), _number(each["value"]), _number(each["threshold"]), each["message"])
        for each in gate["checks"]
        if not each["name"].startswith("gate_checks.")  # of the table that they are stored in
    )
    return "\n".join([
        f"The gate says **{facts['verdict']}** (mode `{facts['mode']}`) of model version {facts['model_version']}; "
        f"the champion is version {facts['champion_version'] or 'none'}. "
        + (f"[Drift report]({report})" if report else "There is no drift report."),
        "", *_grid(("metric", "challenger", "champion"), metrics),
        "", *_grid(("check", "outcome", "value", "threshold", "says"), checks),
    ])  # fmt: skip


def _manifest(pipeline: str, step: str, day: date) -> dict[str, Any]:
    words = ("manifest", step, "--pipeline", pipeline, "--date", str(day))
    found: dict[str, Any] = asked(f"{pipeline}/{step} {day}", *words)
    return found


def _grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterable[str]:
    yield from ("| " + " | ".join(head) + " |", "|" + " --- |" * len(head))
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |"


def _outcome(check: Mapping[str, Any]) -> str:
    return "passed" if check["passed"] else f"**failed** ({check['severity']})"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.4g}"
