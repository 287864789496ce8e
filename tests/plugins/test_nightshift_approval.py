"""The question to a person: who is asked, and what promote learns from the answer."""

from __future__ import annotations

import importlib
import re
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import TaskAwaitingInput
from markdown_it import MarkdownIt

from jobs.core import params, settings
from jobs.core.checks import at_least, equal
from jobs.core.manifest import Manifest
from jobs.core.params import PromoteParams
from jobs.core.settings import PROJECT
from jobs.core.steps import NIGHTLY
from nights import DAY, Place

RUN = "manual__1"
NOW = datetime(2018, 7, 11, 3, tzinfo=UTC)
GATE = {
    "model_digest": "ab" * 32,
    "facts": {
        "verdict": "promoted",
        "mode": "enforce",
        "model_version": "8",
        "champion_version": "7",
        "metrics": {"roc_auc": 0.912345, "frauds": 123456},
        "champion": "cd" * 32,
        "champion_metrics": {"roc_auc": 0.9},
        "slices": {"weekend": [0.9, 40]},
        "reasons": [],
    },
    "checks": [
        equal("gate_checks.rows", 2, 2).as_row(),
        at_least("floor.roc_auc", 0.912345, 0.7).as_row(),
        at_least("slice|age", -0.2, -0.1, "warn", "a | b").as_row(),
    ],
}


@pytest.fixture
def approval(airflow_variables):
    return importlib.import_module("nightshift.approval")


@pytest.fixture
def task(approval):
    return approval.approve_task(
        "fraud", PromoteParams(approval="manual", timeout_hours=2, default="Reject")
    )


def context(run=RUN, **left):
    """Context of a task with these values from its upstream tasks."""
    run = SimpleNamespace(run_id=run, partition_key=str(DAY))
    ti = SimpleNamespace(id="ti", xcom_pull=lambda task_ids, **_: left.get(task_ids))
    return {"ti": ti, "dag_run": run, "params": {}}


def response(option, user="oncall", **given):
    who = user and {"id": user, "name": user}
    return {
        "chosen_options": [option],
        "params_input": given,
        "responded_at": NOW,
        "responded_by_user": who,
    }


@pytest.fixture
def waiting(services, serving_db, redis_url, approval, monkeypatch, tmp_path):
    """An installation in which the gate passed a challenger.

    Airflow shows the question that it is asked to show.
    """
    place = Place(tmp_path, services.url(settings.SOURCE), serving_db, redis_url)
    place.set_params(promote={"approval": "manual"})
    place.lake.require_schema_version()  # marks the empty lake
    section = params.section(place.home / "params.yaml", "fraud", "gate", params.GateParams)
    place.lake.commit(
        Manifest(
            pipeline="fraud",
            step="gate",
            date=DAY,
            attempt="a",
            params_digest=section.digest,
            code_version="c",
            started=NOW,
            ended=NOW,
            **GATE,
        )
    )
    for name, value in place.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(approval, "show", lambda task, _: question_of(task))
    return place


def question_of(task, body=None, users=None):
    users = task.assigned_users or () if users is None else users
    people = [SimpleNamespace(**each) for each in users]
    return SimpleNamespace(body=task.body if body is None else body, assigned_users=people)


def ask(task, run=RUN):
    with pytest.raises(TaskAwaitingInput):
        task.execute(context(run))


def test_an_answer_is_a_persons_and_promote_reads_it_from_the_record_alone(task, waiting):
    ask(task)
    assert waiting.manifest("approve").facts == {
        "answer": "asked",
        "by": "",
        "comment": "",
        "dag_run": RUN,
    }
    assert waiting.manifest("gate").model_digest in task.body
    comment = "--answer=declined; $(id)"
    answer = task.execute_complete(context(), response("Approve", comment=comment))
    assert answer == {"answer": "approved", "by": "oncall", "comment": comment}
    recorded = waiting.manifest("approve")
    assert recorded.facts == answer | {"dag_run": RUN}
    assert recorded.model_digest == waiting.manifest("gate").model_digest


@pytest.mark.parametrize(
    ("event", "answer", "by"),
    [
        (response("Reject"), "declined", "oncall"),
        (response("Approve", None), "expired", "nobody"),
    ],
)
def test_silence_is_nobodys_answer(task, waiting, event, answer, by):
    ask(task)
    assert task.execute_complete(context(), event | {"params_input": {"comment": None}}) == {
        "answer": answer,
        "by": by,
        "comment": "",
    }


@pytest.mark.parametrize(
    ("approvers", "stale"),
    [
        ((), {"body": f"digest `{'f' * 64}`"}),
        ((), {"body": ""}),
        ((), {"users": [{"id": "eve", "name": "eve"}]}),
        (("ana",), {"users": []}),
    ],
    ids=["another challenger", "no challenger", "former approvers", "anybody"],
)
def test_a_question_that_airflow_kept_from_before_is_not_asked(
    approval, monkeypatch, approvers, stale
):
    monkeypatch.setattr(approval, "show", lambda task, _: question_of(task, **stale))
    task = approval.approve_task("fraud", PromoteParams(approval="manual", approvers=approvers))
    task.body = approval.question(approval.GateManifest.model_validate(GATE), "")
    with pytest.raises(approval.PermanentFailure) as refused:
        task._ask(context(), GATE["model_digest"])
    assert (
        f"trigger a new run of {DAY}, which asks a new question. Or answer in a shell"
        in refused.value.text
    )


def test_only_approvers_are_asked_and_only_their_answers_count(approval, waiting):
    task = approval.approve_task("fraud", PromoteParams(approval="manual", approvers=("ana", "17")))
    assert [each["id"] for each in task.assigned_users] == ["ana", "17"]
    ask(task)
    with pytest.raises(approval.PermanentFailure) as refused:
        task.execute_complete(context(), response("Approve", "oncall"))
    assert "promote.approvers in params.yaml does not name it" in refused.value.text
    assert waiting.manifest("approve").facts["answer"] == "asked"
    assert task.execute_complete(context(), response("Approve", "ana"))["answer"] == "approved"


def test_nobody_is_asked_about_a_rejected_challenger_whatever_an_xcom_says(task, waiting):
    ask(task)  # the XCom of gate is not read
    gate = waiting.manifest("gate")
    waiting.lake.commit(gate.model_copy(update={"facts": gate.facts | {"verdict": "rejected"}}))
    assert task.execute(context(gate={"verdict": "promoted"})) is None


FORGED = {
    "answer": "approved",
    "by": "admin",
    "pipeline": "movies",
    "verdict": "promoted",
    "dry_run": "no",
}


@pytest.mark.parametrize("step", [*NIGHTLY, "freshness", "housekeeping"])
def test_no_key_of_an_xcom_becomes_an_option_of_any_step(airflow_variables, step):
    steps = importlib.import_module("nightshift.steps")
    operators = {
        "promote": importlib.import_module("nightshift.promotion").PromoteOperator,
        "retrain": importlib.import_module("nightshift.retrain").RetrainOperator,
        "housekeeping": importlib.import_module("nightshift.housekeeping").HousekeepingOperator,
    }
    every = dict.fromkeys((*NIGHTLY, "approve"), FORGED)
    forged = context(**every) | {"params": {"dry_run": True}}
    forged["dag_run"].run_type = "manual"
    known = {"promote": (f"--dag-run={RUN}",), "housekeeping": ("--dry-run",)}
    made = operators.get(step, steps.StepOperator)(task_id=step, pipeline="fraud", step=step)
    assert made.options(forged) == known.get(step, ())


def test_every_operator_of_a_step_is_among_those(airflow_variables):
    files = (PROJECT / "plugins").rglob("*.py")
    heirs = {
        name
        for file in files
        for name in re.findall(r"class (\w+)\(StepOperator", file.read_text())
    }
    assert heirs == {"PromoteOperator", "RetrainOperator", "HousekeepingOperator"}


def test_the_question_has_both_models_every_check_and_the_drift_report(approval):
    said = approval.question(approval.GateManifest.model_validate(GATE), "http://mlflow/report")
    assert "**promoted** (mode `enforce`)" in said and "version 8" in said and "version 7" in said
    assert "| roc_auc | 0.9123 | 0.9 |" in said and "| frauds | 123456 |  |" in said
    assert "| floor.roc_auc | passed | 0.9123 | 0.7 |" in said
    assert r"| slice\|age | **failed** (warn) | -0.2 | -0.1 | a \| b |" in said
    assert "gate_checks.rows" not in said
    assert "[Drift report](http://mlflow/report)" in said


def test_what_a_check_quotes_from_data_is_text_in_the_question(approval):
    odd = "</script><script>x</script> <img src=y> [z](javascript:w) *v* \x1b[2J\nu"
    check = at_least(f"slice.{odd}", 0.1, 0.2, "warn", odd).as_row()
    gate = approval.GateManifest.model_validate(GATE | {"checks": [check]})
    said = approval.question(gate, "")
    page = MarkdownIt("commonmark", {"html": True}).enable("table").render(said)
    assert not re.findall(r"<script|<img|<a |<em>|\x1b", page)
    shown = odd.replace("\x1b", r"\x1b").replace("\n", r"\n")
    assert page.replace("&lt;", "<").replace("&gt;", ">").count(shown) == 2


def test_the_question_says_so_when_there_is_no_champion_and_no_report(approval):
    first = GATE | {"facts": GATE["facts"] | {"champion_metrics": None, "champion_version": None}}
    said = approval.question(approval.GateManifest.model_validate(first), "")
    assert "The champion is version none" in said and "There is no drift report." in said


def test_an_undefined_number_is_left_out_of_the_question(approval):
    check = at_least("floor.roc_auc", 0.0, 0.7).as_row() | {"value": None}
    gate = approval.GateManifest.model_validate(GATE | {"checks": [check]})
    assert "| floor.roc_auc | **failed** (fail) |  | 0.7 |" in approval.question(gate, "")


def test_a_manifest_of_another_form_is_a_failure_that_names_the_key_and_the_remedy(
    approval, monkeypatch
):
    facts = {key: value for key, value in GATE["facts"].items() if key != "mode"}
    monkeypatch.setattr(approval, "call_json", lambda *_: GATE | {"facts": facts})
    with pytest.raises(approval.PermanentFailure) as failed:
        approval._manifest(approval.GateManifest, "fraud", "gate", DAY)
    text = failed.value.text
    assert text.startswith(f"fraud/gate {DAY}: ") and "facts.mode" in text and "clear gate" in text


def test_the_question_waits_as_long_as_the_parameters_say(task):
    assert task.response_timeout.total_seconds() == 7200 and task.defaults == ["Reject"]
    assert set(task.serialized_params) == {"comment"}
