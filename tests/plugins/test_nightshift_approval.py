"""The question to a person, who is asked at all, and what promote is told of the answer."""

from __future__ import annotations

import importlib
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from jobs.core.checks import at_least, equal
from jobs.core.params import PromoteParams

NOW = datetime(2018, 7, 11, 3, tzinfo=UTC)
GATE = {
    "facts": {
        "verdict": "promoted", "mode": "enforce", "model_version": "8", "champion_version": "7",
        "metrics": {"roc_auc": 0.912345, "frauds": 123456}, "champion_metrics": {"roc_auc": 0.9},
    },
    "checks": [
        equal("gate_checks.rows", 2, 2).as_row(),
        at_least("floor.roc_auc", 0.912345, 0.7).as_row(),
        at_least("slice|age", -0.2, -0.1, "warn", "a | b").as_row(),
    ],
}  # fmt: skip


@pytest.fixture
def approval(airflow_variables):
    return importlib.import_module("nightshift_approval")


@pytest.fixture
def task(approval):
    return approval.approve_task("fraud", PromoteParams(approval="manual", timeout_hours=2, default="Reject"))


@pytest.fixture
def promotion(airflow_variables):
    return importlib.import_module("nightshift_promotion")


def context(**left):
    """Of a task whose upstream tasks have left these values."""
    return {"ti": SimpleNamespace(xcom_pull=lambda task_ids: left.get(task_ids))}


def asked(digest):
    """Of approve, which has asked about this model."""
    return {
        "ti": SimpleNamespace(xcom_pull=lambda task_ids, key: {("approve", "asked"): digest}[task_ids, key])
    }


def response(chosen, user="oncall", **given):
    who = user and {"id": user, "name": user}
    return {"chosen_options": [chosen], "params_input": given, "responded_at": NOW, "responded_by_user": who}


def test_nobody_is_asked_about_a_rejected_challenger(task):
    assert task.execute(context(gate={"verdict": "rejected"})) is None


@pytest.mark.parametrize(
    ("event", "answer", "by"),
    [
        (response("Approve"), "approved", "oncall"),
        (response("Reject"), "declined", "oncall"),
        (response("Reject", None), "expired", "nobody"),
        (response("Approve", None), "expired", "nobody"),
    ],
)
def test_an_answer_is_a_persons_and_the_default_is_none(task, event, answer, by):
    given = task.execute_complete(asked("a" * 64), event | {"params_input": {"comment": None}})
    assert given == {"answer": answer, "by": by, "comment": "", "model": "a" * 64}


def test_promote_is_told_the_answer_and_no_comment_becomes_an_option(task, promotion):
    given = task.execute_complete(asked("a" * 64), response("Approve", comment="--answer=declined; $(id)"))
    promote = promotion.PromoteOperator(task_id="promote", pipeline="fraud", step="promote")
    assert promote.options(context(approve=given)) == (
        "--answer=approved", "--by=oncall", "--comment=--answer=declined; $(id)", f"--model={'a' * 64}",
    )  # fmt: skip


def test_promote_is_told_nothing_where_nobody_was_asked(promotion):
    promote = promotion.PromoteOperator(task_id="promote", pipeline="fraud", step="promote")
    assert promote.options(context()) == ()


def test_the_question_has_both_models_every_check_and_the_drift_report(approval):
    said = approval.question(GATE, "http://mlflow/report")
    assert "**promoted** (mode `enforce`)" in said and "version 8" in said and "version 7" in said
    assert "| roc_auc | 0.9123 | 0.9 |" in said and "| frauds | 123456 |  |" in said
    assert "| floor.roc_auc | passed | 0.9123 | 0.7 |" in said
    assert r"| slice\|age | **failed** (warn) | -0.2 | -0.1 | a \| b |" in said
    assert "gate_checks.rows" not in said
    assert "[Drift report](http://mlflow/report)" in said


def test_the_question_says_so_when_there_is_no_champion_and_no_report(approval):
    first = GATE | {"facts": GATE["facts"] | {"champion_metrics": None, "champion_version": None}}
    said = approval.question(first, "")
    assert "the champion is version none" in said and "There is no drift report." in said


def test_the_question_waits_as_long_as_the_parameters_say(task):
    assert task.response_timeout.total_seconds() == 7200 and task.defaults == ["Reject"]
    assert set(task.serialized_params) == {"comment"}
