"""Manual approval with a real scheduler, through the API that the UI uses.

Answers are forged, approve, decline, expire or come too late.
"""

from __future__ import annotations

import time

import pytest

from jobs.core.errors import StoreError
from nights import DAY
from platform_under_test import DAG

pytestmark = [pytest.mark.slow, pytest.mark.oncall, pytest.mark.timeout(1200)]
SETTLED_S = 3  # in which a late answer would have changed something


@pytest.fixture(scope="module")
def platform(scheduled):
    """One Airflow for all tests of this module, which run in order on one night with approval."""
    with scheduled("extract", manual) as platform:
        yield platform


def manual(place):
    place.set_params(promote={"approval": "manual", "timeout_hours": 8, "default": "Reject"})
    return {}


@pytest.fixture(scope="module")
def champion(platform):
    """Of the days before."""
    return last_promotion(platform)["to_digest"]


@pytest.fixture(scope="module")
def run(platform, champion):
    """The night, which has come to its question."""
    with platform.api("oncall") as api:
        run = api.trigger(DAG, DAY)
    asked(platform, run)
    return run


def asked(platform, run):
    """The question, once it waits for an answer."""
    platform.await_question(run)
    return question(platform, run)


def question(platform, run):
    with platform.api() as api:
        return api.call("GET", f"dags/{DAG}/dagRuns/{run}/taskInstances/approve/-1/hitlDetails")


def answer(platform, run, option, comment="", user="oncall"):
    with platform.api(user) as api:
        said = {"chosen_options": [option], "params_input": {"comment": comment}}
        api.call("PATCH", f"dags/{DAG}/dagRuns/{run}/taskInstances/approve/-1/hitlDetails", said)


def ask_again(platform, run):
    """What on-call presses who has changed their mind."""
    with platform.api("oncall") as api:
        api.clear(DAG, run, "approve")


def ended_well(platform, run):
    state, tasks = platform.finish(run)
    assert state == "success" and set(tasks.values()) == {"success"}, (
        f"{tasks}\n{platform.logs(run)}"
    )


def last_promotion(platform):
    names = ("date", "verdict", "approved_by", "to_digest", "reasons")
    row = platform.place.query(
        f"SELECT {', '.join(names)} FROM promotions ORDER BY id DESC LIMIT 1"
    )[0]
    return dict(zip(names, row, strict=True))


def test_the_question_has_the_metrics_the_verdict_and_every_check(platform, run):
    body, gate = question(platform, run)["body"], platform.place.manifest("gate")
    assert "**promoted** (mode `enforce`)" in body
    assert all(f"| {name} |" in body for name in gate.facts["metrics"])
    checks = {
        check["name"] for check in gate.checks if not check["name"].startswith("gate_checks.")
    }
    assert checks >= {"floor.roc_auc", "margin.average_precision"}
    assert all(f"| {name} |" in body for name in checks)
    report = platform.place.manifest("check_drift").facts["report_url"]
    assert (f"[Drift report]({report})" if report else "There is no drift report") in body


def test_the_day_is_published_meanwhile_by_the_champion_there_is(platform, run, champion):
    platform.await_task(run, "verify", "success")
    assert platform.place.serving()["served"][0].startswith(f"{DAY:%Y%m%d}")
    assert platform.place.manifest("publish").model_digest == champion
    with platform.api() as api:
        assert (
            api.state(DAG, run) == "running"
            and api.tasks(DAG, run)["approve"].state == "awaiting_input"
        )
        assert api.call("GET", "pools/default_pool")["occupied_slots"] == 0


def test_who_only_looks_may_not_answer(platform, run):
    with pytest.raises(StoreError, match="403"):
        answer(platform, run, "Approve", user="analyst")


def test_a_forged_answer_and_a_task_marked_as_success_approve_nothing(platform, run, champion):
    before = last_promotion(platform)
    approve = f"dags/{DAG}/dagRuns/{run}/taskInstances/approve"
    forged = {"answer": "approved", "by": "admin", "pipeline": "movies", "run": run}
    with platform.api("oncall") as api:
        api.call("POST", f"{approve}/xcomEntries", {"key": "return_value", "value": forged})
        api.call("PATCH", approve, {"new_state": "success"})
    platform.await_task(run, "promote", "failed")
    assert last_promotion(platform) == before and platform.place.manifest("promote", DAY) is None
    with platform.api("oncall") as api:
        said = api.log(DAG, run, "promote", api.tasks(DAG, run)["promote"].tries)
        assert "waits for a person's approval" in said and "--pipeline=movies" not in said
        assert f"nightshift promote --pipeline fraud --date {DAY} --dag-run={run}" in said
    # Airflow 3.3.2 fails a task for good that is cleared between its queueing and its start.
    platform.await_task(run, "watcher", "failed")
    ask_again(platform, run)
    assert asked(platform, run)["response_received"] is False


def test_an_approved_challenger_becomes_champion_in_the_name_of_who_approved(
    platform, run, champion
):
    answer(platform, run, "Approve", "looks right; --answer=declined")
    ended_well(platform, run)
    promotion, challenger = last_promotion(platform), platform.place.manifest("train").model_digest
    assert (promotion["date"], promotion["verdict"], promotion["approved_by"]) == (
        DAY,
        "promoted",
        "oncall",
    )
    assert promotion["to_digest"] == challenger != champion
    assert any("looks right; --answer=declined" in reason for reason in promotion["reasons"])
    assert platform.place.manifest("predict").model_digest == champion


def test_what_was_approved_scores_the_day_once_predict_is_cleared(platform, run):
    with platform.api("oncall") as api:
        api.clear(DAG, run, "predict")
    ended_well(platform, run)
    assert (
        platform.place.manifest("publish").model_digest
        == platform.place.manifest("train").model_digest
    )


def test_a_second_answer_is_refused_and_changes_nothing(platform, run):
    before = last_promotion(platform)
    with pytest.raises(StoreError, match=r"409.*not allowed to write again"):
        answer(platform, run, "Reject")
    assert last_promotion(platform) == before


def test_a_cleared_question_is_asked_anew_and_a_declined_challenger_leaves_the_champion(
    platform, run, champion
):
    ask_again(platform, run)
    assert asked(platform, run)["response_received"] is False
    answer(platform, run, "Reject", "not on a Friday")
    ended_well(platform, run)
    promotion = last_promotion(platform)
    assert (promotion["date"], promotion["verdict"], promotion["approved_by"]) == (
        DAY,
        "declined",
        "oncall",
    )
    assert promotion["to_digest"] is None and any(
        "not on a Friday" in reason for reason in promotion["reasons"]
    )
    assert platform.place.manifest("promote").facts["champion"] == champion


def test_without_an_answer_in_time_the_default_counts_and_a_late_answer_is_refused(
    platform, run, champion
):
    platform.place.set_params(promote={"timeout_hours": 5 / 3600})
    ask_again(platform, run)
    ended_well(platform, run)
    promotion = last_promotion(platform)
    assert (promotion["date"], promotion["verdict"], promotion["to_digest"]) == (
        DAY,
        "expired",
        None,
    )
    assert platform.place.manifest("promote").facts["champion"] == champion
    before = platform.place.digests()
    with pytest.raises(StoreError, match=r"409.*not allowed to write again"):
        answer(platform, run, "Approve")
    time.sleep(SETTLED_S)
    with platform.api() as api:
        assert api.state(DAG, run) == "success"
    assert platform.place.digests() == before
    assert question(platform, run)["responded_by_user"] is None


def test_only_approvers_are_asked_and_a_run_that_asked_others_says_that_it_cannot_ask(
    platform, run
):
    platform.place.set_params(promote={"timeout_hours": 8, "approvers": ["admin"]})
    ask_again(platform, run)
    platform.await_task(run, "approve", "failed")
    with platform.api("oncall") as api:
        said = api.log(DAG, run, "approve", api.tasks(DAG, run)["approve"].tries)
        assert (
            "Airflow keeps showing the first question of a task" in said
            and "trigger a new run" in said
        )
        again = api.trigger(DAG, DAY)
    asked(platform, again)
    with pytest.raises(StoreError, match=r"403.*not a respondent"):
        answer(platform, again, "Approve")
    answer(platform, again, "Reject", "not by me", user="admin")
    ended_well(platform, again)
    assert (last_promotion(platform)["verdict"], last_promotion(platform)["approved_by"]) == (
        "declined",
        "admin",
    )


def test_nobody_is_asked_about_a_challenger_that_the_gate_rejects(platform, run, champion):
    platform.place.set_params(gate={"floors": {"roc_auc": 1.01}})
    with platform.api("oncall") as api:
        api.clear(DAG, run, "gate")
    ended_well(platform, run)
    assert last_promotion(platform)["verdict"] == "rejected"
    with platform.api() as api:
        assert "nobody is asked" in api.log(
            DAG, run, "approve", api.tasks(DAG, run)["approve"].tries
        )
    assert platform.place.manifest("publish").model_digest == champion
