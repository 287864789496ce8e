"""A person's word between gate and promote: the question, and the answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import date, timedelta
from inspect import getdoc
from typing import TYPE_CHECKING, Any, cast

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param
from airflow.sdk.api.datamodels._generated import HITLUser as APIHITLUser
from airflow.sdk.exceptions import TaskAwaitingInput
from airflow.sdk.execution_time.comms import CreateHITLDetailPayload, HITLDetailRequestResult
from airflow.sdk.execution_time.hitl import HITLUser

from jobs.core.params import PromoteParams
from jobs.core.steps import STEPS
from jobs.core.text import markdown, printable
from nightshift.dates import day_of
from nightshift.steps import RETRY_POLICY, MendFirst, arguments, asked, call, spoken
from nightshift.triage import runbook

if TYPE_CHECKING:
    from airflow.sdk import Context

APPROVE, REJECT = "Approve", "Reject"
ANSWERS = {APPROVE: "approved", REJECT: "declined"}


class Approval(HITLOperator):
    """Ask a person whether the challenger that passed the gate becomes champion; nobody is asked about a rejected one.

    Until somebody answers, or the time is over, no slot is taken; the day is published meanwhile, by the champion there is.
    Airflow hands the answer and its author to this task alone. It records both in the lake, where promote reads them: an
    XCom, or a task that was marked as success, approves nothing.
    """

    template_fields = ()  # what checks say is text, not a template
    ui_color = "#fef7e0"

    def __init__(self, *, pipeline: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline

    def execute(self, context: Context) -> None:
        """Asks, and ends the process; returns where there is nothing to ask. Raises StepFailed or MendFirst."""
        with spoken(self.log):
            self._execute(context)

    def _execute(self, context: Context) -> None:
        day = day_of(context)
        gate = _manifest(self.pipeline, "gate", day)
        if gate["facts"]["verdict"] == "rejected":
            self.log.info("the gate rejected the challenger: nobody is asked, promote records it")
            return
        report = ""
        with suppress(
            MendFirst
        ):  # check_drift failed, or has judged something else than this night
            report = _manifest(self.pipeline, "check_drift", day)["facts"].get("report_url", "")
        self.subject = f"Promote the challenger of {self.pipeline}, {day}?"
        self.body = question(gate, report)
        self._record(context, "asked")  # an earlier answer counts no more
        self._ask(context, gate["model_digest"])

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, str]:
        """Records the answer (approved, declined; expired without one), by whom, and the comment; returns them for people
        to see. Raises StepFailed or MendFirst."""
        response = super().execute_complete(context, event)
        who = response["responded_by_user"]
        answer = {
            "answer": ANSWERS[response["chosen_options"][0]] if who else "expired",
            "by": who["name"] if who else "nobody",
            "comment": str(response["params_input"].get("comment") or ""),
        }
        with spoken(self.log):
            self._allow(who)
            self._record(context, **answer)
        return answer

    def _ask(self, context: Context, model: str) -> None:
        """Raises TaskAwaitingInput; MendFirst where Airflow shows another question than this one.

        Airflow 3.3 keeps the first question of a task through every clear, and only forgets its answer.
        """
        shown = show(self, context)
        asked = {each["id"] for each in self.assigned_users or ()}
        if (
            model in (shown.body or "")
            and {each.id for each in shown.assigned_users or ()} == asked
        ):
            raise TaskAwaitingInput(method_name="execute_complete", timeout=self.response_timeout)
        run, day = context["dag_run"].run_id, day_of(context)
        raise MendFirst(
            f"{self.pipeline}/approve {day}: nobody can be asked about the challenger {model[:12]} in the run {run}.\n"
            "  Input: the question that this run asked before, about another challenger or other approvers.\n"
            "  Why: Airflow goes on showing a task's first question after the task was cleared.\n"
            f"  Next: trigger a new run of {day}, which asks afresh; or answer in a shell: nightshift approve --pipeline "
            f"{self.pipeline} --date {day} --answer approved --by NAME (or declined), then clear promote"
        )

    def _allow(self, who: HITLUser | None) -> None:
        """Raises MendFirst for a person who is not among the approvers; silence is nobody's answer."""
        allowed = {each["id"] for each in self.assigned_users or ()}
        if who and allowed and who["id"] not in allowed:
            raise MendFirst(
                f"{self.pipeline}/approve: the answer of {printable(who['name'])} does not count.\n"
                f"  Input: the user id {printable(who['id'])}.\n"
                "  Why: promote.approvers in params.yaml does not name it.\n"
                "  Next: clear approve, and have one of the approvers answer"
            )

    def _record(self, context: Context, answer: str, by: str = "", comment: str = "") -> None:
        day, run = day_of(context), context["dag_run"].run_id
        # Behind an equals sign a comment is a value, whatever it begins with.
        options = (f"--answer={answer}", f"--dag-run={run}", f"--by={by}", f"--comment={comment}")
        call(f"{self.pipeline}/approve {day}", *arguments(self.pipeline, "approve", day), *options)


def show(task: HITLOperator, context: Context) -> HITLDetailRequestResult:
    """Ask Airflow to show the question of the task; returns the question that it shows."""
    from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

    question = CreateHITLDetailPayload(
        ti_id=context["ti"].id,
        options=task.options,
        subject=task.subject,
        body=task.body,
        defaults=task.defaults,
        multiple=task.multiple,
        params=task.serialized_params,
        assigned_users=[APIHITLUser(**each) for each in task.assigned_users or ()],
    )
    return cast("HITLDetailRequestResult", SUPERVISOR_COMMS.send(msg=question))


def approve_task(pipeline: str, params: PromoteParams) -> Approval:
    """The task; tried again, it asks again."""
    comment = Param(
        None,
        type=["null", "string"],
        format="multiline",
        maxLength=500,
        title="Comment",
        description="Why; stored with the promotion.",
    )
    return Approval(
        pipeline=pipeline,
        task_id="approve",
        subject=f"Promote the challenger of {pipeline}?",
        options=[APPROVE, REJECT],
        defaults=params.default,
        params={"comment": comment},
        assigned_users=[HITLUser(id=each, name=each) for each in params.approvers] or None,
        response_timeout=timedelta(hours=params.timeout_hours),
        execution_timeout=STEPS["approve"].timeout,
        retry_policy=RETRY_POLICY,
        doc_md=f"{getdoc(Approval)}\n\n{runbook('approve')}",
    )


def question(gate: Mapping[str, Any], report: str) -> str:
    """What is asked, in Markdown: the verdict, both models' metrics, every check, and where the drift report is."""
    facts = gate["facts"]
    champion = facts["champion_metrics"] or {}
    metrics = (
        (markdown(name), _number(value), _number(champion.get(name)))
        for name, value in facts["metrics"].items()
    )
    checks = (
        (
            markdown(each["name"]),
            _outcome(each),
            _number(each["value"]),
            _number(each["threshold"]),
            markdown(each["message"]),
        )
        for each in gate["checks"]
        if not each["name"].startswith("gate_checks.")  # of the table that they are stored in
    )
    return "\n".join(
        [
            f"The gate says **{facts['verdict']}** (mode `{facts['mode']}`) of model version {facts['model_version']} "
            f"(digest `{gate['model_digest']}`); "
            f"the champion is version {facts['champion_version'] or 'none'}. "
            + (f"[Drift report]({report})" if report else "There is no drift report."),
            "",
            *_grid(("metric", "challenger", "champion"), metrics),
            "",
            *_grid(("check", "outcome", "value", "threshold", "says"), checks),
        ]
    )


def _manifest(pipeline: str, step: str, day: date) -> dict[str, Any]:
    words = ("manifest", step, "--pipeline", pipeline, "--date", str(day))
    found: dict[str, Any] = asked(f"{pipeline}/{step} {day}", *words)
    return found


def _grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterable[str]:
    yield from ("| " + " | ".join(head) + " |", "|" + " --- |" * len(head))
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def _outcome(check: Mapping[str, Any]) -> str:
    return "passed" if check["passed"] else f"**failed** ({check['severity']})"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.4g}"
