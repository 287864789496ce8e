"""The approval of a challenger by a person, between gate and promote: question and answer."""

from __future__ import annotations

from contextlib import suppress
from datetime import date, timedelta
from inspect import getdoc
from typing import TYPE_CHECKING, Any, TypeVar, cast

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param
from airflow.sdk.api.datamodels._generated import HITLUser as APIHITLUser
from airflow.sdk.exceptions import TaskAwaitingInput
from airflow.sdk.execution_time.comms import CreateHITLDetailPayload, HITLDetailRequestResult
from airflow.sdk.execution_time.hitl import HITLUser
from pydantic import BaseModel, ValidationError

from jobs.core.facts import CheckDriftFacts, GateFacts
from jobs.core.markdown_table import markdown_table
from jobs.core.params import PromoteParams
from jobs.core.steps import STEPS
from jobs.core.text import markdown, printable
from nightshift.dates import day_of
from nightshift.steps import (
    RETRY_POLICY,
    PermanentFailure,
    arguments,
    call,
    call_json,
    logged_failure,
)
from nightshift.triage import runbook

if TYPE_CHECKING:
    from airflow.sdk import Context

APPROVE, REJECT = "Approve", "Reject"
ANSWERS = {APPROVE: "approved", REJECT: "declined"}


class GateCheck(BaseModel):
    """A check of the gate as its manifest has it; an undefined number is None."""

    name: str
    passed: bool
    value: float | None
    threshold: float | None
    severity: str
    message: str


class GateManifest(BaseModel):
    """What the question needs of the manifest of gate."""

    facts: GateFacts
    checks: list[GateCheck]
    model_digest: str


class DriftManifest(BaseModel):
    """What the question needs of the manifest of check_drift."""

    facts: CheckDriftFacts


AnyManifest = TypeVar("AnyManifest", GateManifest, DriftManifest)


class Approval(HITLOperator):
    """Ask a person whether the challenger that passed the gate becomes champion.

    Nobody is asked about a rejected challenger. While the question is open, the task takes no slot,
    and the day is published with the current champion. Airflow gives the answer and its author to
    this task only. The task records both in the lake, where promote reads them; an XCom, or a task
    that was marked as success, approves nothing.
    """

    template_fields = ()  # the messages of checks are text, not templates
    ui_color = "#fef7e0"

    def __init__(self, *, pipeline: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline

    def execute(self, context: Context) -> None:
        """Ask and end the process; return if there is nothing to ask.

        Raises StepFailed or PermanentFailure.
        """
        with logged_failure(self.log):
            self._prepare_and_ask(context)

    def _prepare_and_ask(self, context: Context) -> None:
        day = day_of(context)
        gate = _manifest(GateManifest, self.pipeline, "gate", day)
        if gate.facts.verdict == "rejected":
            self.log.info("the gate rejected the challenger: promote records it, nobody is asked")
            return
        report = ""
        with suppress(PermanentFailure):  # check_drift failed, or its result is of other data
            drift = _manifest(DriftManifest, self.pipeline, "check_drift", day)
            report = drift.facts.report_url
        self.subject = f"Promote the challenger of {self.pipeline}, {day}?"
        self.body = question(gate, report)
        self._record(context, "asked")  # an earlier answer no longer counts
        self._ask(context, gate.model_digest)

    def execute_complete(self, context: Context, event: dict[str, object]) -> dict[str, str]:
        """Record the answer (approved, declined, or expired), who gave it, and the comment.

        Returns them, for people to see in the XCom. Raises StepFailed or PermanentFailure.
        """
        response = super().execute_complete(context, event)
        user = response["responded_by_user"]
        answer = {
            "answer": ANSWERS[response["chosen_options"][0]] if user else "expired",
            "by": user["name"] if user else "nobody",
            "comment": str(response["params_input"].get("comment") or ""),
        }
        with logged_failure(self.log):
            self._check_approver(user)
            self._record(context, **answer)
        return answer

    def _ask(self, context: Context, model: str) -> None:
        """Raise TaskAwaitingInput, or PermanentFailure if Airflow shows an older question.

        Airflow 3.3 keeps the first question of a task when the task is cleared, and drops only the
        answer.
        """
        shown = show(self, context)
        approvers = {user["id"] for user in self.assigned_users or ()}
        if (
            model in (shown.body or "")
            and {user.id for user in shown.assigned_users or ()} == approvers
        ):
            raise TaskAwaitingInput(method_name="execute_complete", timeout=self.response_timeout)
        run, day = context["dag_run"].run_id, day_of(context)
        raise PermanentFailure(
            f"{self.pipeline}/approve {day}: the run {run} cannot ask about the challenger "
            f"{model[:12]}\n"
            "  Input: an earlier question of this run, with another challenger or other approvers\n"
            "  Why: Airflow keeps showing the first question of a task after the task is cleared\n"
            f"  Next: trigger a new run of {day}, which asks a new question. Or answer in a shell:"
            f" nightshift approve --pipeline {self.pipeline} --date {day} --answer approved "
            "--by NAME (or declined), then clear promote"
        )

    def _check_approver(self, user: HITLUser | None) -> None:
        """Raise PermanentFailure if the user is not an approver. None: nobody answered."""
        approvers = {approver["id"] for approver in self.assigned_users or ()}
        if user and approvers and user["id"] not in approvers:
            raise PermanentFailure(
                f"{self.pipeline}/approve: the answer of {printable(user['name'])} is not valid\n"
                f"  Input: the user id {printable(user['id'])}\n"
                "  Why: promote.approvers in params.yaml does not name it\n"
                "  Next: clear approve, and ask one of the approvers to answer"
            )

    def _record(self, context: Context, answer: str, by: str = "", comment: str = "") -> None:
        day, run = day_of(context), context["dag_run"].run_id
        # After an equals sign, a comment that starts with a dash is still a value.
        options = (f"--answer={answer}", f"--dag-run={run}", f"--by={by}", f"--comment={comment}")
        call(f"{self.pipeline}/approve {day}", *arguments(self.pipeline, "approve", day), *options)


def show(task: HITLOperator, context: Context) -> HITLDetailRequestResult:
    """Ask Airflow to show the task's question; returns the question that it shows."""
    from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

    question = CreateHITLDetailPayload(
        ti_id=context["ti"].id,
        options=task.options,
        subject=task.subject,
        body=task.body,
        defaults=task.defaults,
        multiple=task.multiple,
        params=task.serialized_params,
        assigned_users=[APIHITLUser(**user) for user in task.assigned_users or ()],
    )
    return cast("HITLDetailRequestResult", SUPERVISOR_COMMS.send(msg=question))


def approve_task(pipeline: str, params: PromoteParams) -> Approval:
    """The task; a retry asks again."""
    comment = Param(
        None,
        type=["null", "string"],
        format="multiline",
        maxLength=500,
        title="Comment",
        description="The reason; it is stored with the promotion.",
    )
    return Approval(
        pipeline=pipeline,
        task_id="approve",
        subject=f"Promote the challenger of {pipeline}?",
        options=[APPROVE, REJECT],
        defaults=params.default,
        params={"comment": comment},
        assigned_users=[HITLUser(id=user, name=user) for user in params.approvers] or None,
        response_timeout=timedelta(hours=params.timeout_hours),
        execution_timeout=STEPS["approve"].timeout,
        retry_policy=RETRY_POLICY,
        doc_md=f"{getdoc(Approval)}\n\n{runbook('approve')}",
    )


def question(gate: GateManifest, report: str) -> str:
    """The question in Markdown: verdict, metrics of both models, every check, link to the drift
    report.
    """
    facts = gate.facts
    champion = facts.champion_metrics or {}
    metrics = (
        (markdown(name), _number(value), _number(champion.get(name)))
        for name, value in facts.metrics.items()
    )
    checks = (
        (
            markdown(check.name),
            _outcome(check),
            _number(check.value),
            _number(check.threshold),
            markdown(check.message),
        )
        for check in gate.checks
        if not check.name.startswith("gate_checks.")  # checks of the table that stores them
    )
    return "\n".join(
        [
            f"The verdict of the gate is **{facts.verdict}** (mode `{facts.mode}`) for model "
            f"version {facts.model_version} (digest `{gate.model_digest}`). "
            f"The champion is version {facts.champion_version or 'none'}. "
            + (f"[Drift report]({report})" if report else "There is no drift report."),
            "",
            *markdown_table(("metric", "challenger", "champion"), metrics),
            "",
            *markdown_table(("check", "outcome", "value", "threshold", "message"), checks),
        ]
    )


def _manifest(kind: type[AnyManifest], pipeline: str, step: str, day: date) -> AnyManifest:
    """What the question needs of a manifest; raises StepFailed or PermanentFailure."""
    run = f"{pipeline}/{step} {day}"
    try:
        return kind.model_validate(call_json(run, "manifest", *arguments(pipeline, step, day)))
    except ValidationError as error:
        raise PermanentFailure(
            f"{run}: its manifest cannot be read\n"
            f"  Why: {error}\n"
            f"  Next: clear {step}, then approve"
        ) from None


def _outcome(check: GateCheck) -> str:
    return "passed" if check.passed else f"**failed** ({check.severity})"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.4g}"
