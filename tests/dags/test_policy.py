"""What holds for every DAG and every task: whoever adds one reads here what it must have."""

from __future__ import annotations

import json
import re
from itertools import pairwise

import pytest

from jobs.core.params import alerts
from jobs.core.pipelines import PIPELINES
from jobs.core.settings import PROJECT
from jobs.core.steps import NIGHTLY, STEPS
from jobs.serving.rollback import WHAT

POOLS = {
    "default_pool",
    *json.loads((PROJECT / "plugins" / "nightshift" / "pools.json").read_text()),
}
EVENTS = {
    "validate": "data.ingested",
    "build_features": "features.computed",
    "train": "model.trained",
    "promote": "model.promoted",
    "publish": "predictions.published",
}
TAGS = {"nightly", "freshness", "housekeeping", "rollback", *PIPELINES}
NIGHT_OPERATORS = {"StepOperator", "RetrainOperator", "PromoteOperator"}
STEP_OPERATORS = {*NIGHT_OPERATORS, "HousekeepingOperator", "RollbackOperator"}


def offenders(facts, holds):
    """The names that break the rule; `facts` must not be empty."""
    assert facts
    return [name for name, each in facts.items() if not holds(each)]


def test_every_dag_explains_itself_and_its_triage(bag):
    assert offenders(bag["dags"], lambda dag: "**Triage**" in dag["doc_md"]) == []


def test_every_dag_is_tagged_from_a_closed_set(bag):
    assert offenders(bag["dags"], lambda dag: dag["tags"] and set(dag["tags"]) <= TAGS) == []


def test_every_nightly_dag_belongs_to_one_pipeline(nightly):
    assert offenders(nightly, lambda dag: len(set(dag["tags"]) & set(PIPELINES)) == 1) == []


def test_no_dag_runs_nights_that_nobody_asked_for(bag):
    assert (
        offenders(
            bag["dags"], lambda dag: dag["catchup"] is False and 1 <= dag["max_active_runs"] <= 3
        )
        == []
    )


def test_every_nightly_dag_runs_at_two_for_the_day_before(nightly):
    wanted = {
        "expression": "0 2 * * *",
        "timezone": "UTC",
        "run_offset": -1,
        "key_format": "%Y-%m-%d",
    }
    assert offenders(nightly, lambda dag: wanted.items() <= dag["schedule"].items()) == []


def test_every_nightly_dag_has_the_form(nightly):
    assert offenders(nightly, lambda dag: dag["params"].keys() == {"date", "steps", "force"}) == []
    assert offenders(nightly, lambda dag: dag["params"]["date"]["format"] == "date") == []
    assert (
        offenders(nightly, lambda dag: dag["params"]["steps"]["enum"] == ["night", "ingest"]) == []
    )


def test_housekeeping_comes_when_the_nights_are_over_one_run_at_a_time(housekeeping):
    wanted = {
        "expression": "30 5 * * *",
        "timezone": "UTC",
        "run_offset": -1,
        "key_format": "%Y-%m-%d",
    }
    assert wanted.items() <= housekeeping["schedule"].items()
    assert housekeeping["tags"] == ["housekeeping"] and housekeeping["max_active_runs"] == 1


def test_freshness_is_looked_at_every_day_for_each_pipeline_by_itself(bag):
    dag = bag["dags"]["freshness"]
    hour = alerts(PROJECT / "params.yaml").published_by_hour
    wanted = {
        "expression": f"0 {hour} * * *",
        "timezone": "UTC",
        "run_offset": -1,
        "key_format": "%Y-%m-%d",
    }
    assert wanted.items() <= dag["schedule"].items() and dag["max_active_runs"] == 1
    assert set(dag["tasks"]) == {f"{pipeline}.freshness" for pipeline in PIPELINES}
    # Not in ClickHouse's pool: it must not wait for what it looks after.
    assert (
        offenders(dag["tasks"], lambda t: t["downstream"] == [] and t["pool"] == "default_pool")
        == []
    )


def test_every_nightly_dag_has_a_deadline(nightly):
    hours = alerts(PROJECT / "params.yaml").published_by_hour - 2
    assert offenders(nightly, lambda dag: dag["deadlines_s"] == [hours * 3600]) == []


def test_every_event_is_an_outlet_of_its_step_alone(nightly):
    for dag in nightly.values():
        (pipeline,) = set(dag["tags"]) & set(PIPELINES)
        said = {name: task["outlets"] for name, task in dag["tasks"].items() if task["outlets"]}
        assert said == {step: [f"{pipeline}.{event}"] for step, event in EVENTS.items()}


def test_housekeeping_by_hand_removes_nothing_unless_told_to(housekeeping):
    params = housekeeping["params"]
    assert params.keys() == {"pipeline", "date", "dry_run"}
    assert params["pipeline"]["enum"] == ["all", *PIPELINES] and params["date"]["format"] == "date"
    assert (
        params["dry_run"] == {"title": "Dry run", "type": "boolean"}
        and housekeeping["defaults"]["dry_run"] is True
    )


def test_housekeeping_has_a_task_for_each_pipeline_and_none_waits_for_another(housekeeping):
    tasks = {
        name: task
        for name, task in housekeeping["tasks"].items()
        if task["operator"] == "HousekeepingOperator"
    }
    assert set(tasks) == {f"{pipeline}.housekeeping" for pipeline in PIPELINES}
    assert (
        offenders(tasks, lambda task: task["downstream"] == [] and task["pool"] == "clickhouse")
        == []
    )


def test_every_step_of_the_night_is_a_task_called_like_it_in_the_group_of_its_row(nightly):
    for dag in nightly.values():
        steps = {name for name, task in dag["tasks"].items() if task["operator"] in NIGHT_OPERATORS}
        assert steps == set(NIGHTLY)
        groups = {name: task["group"] for name, task in dag["tasks"].items() if name in steps}
        assert groups == {name: f"{STEPS[name].group}_group" for name in NIGHTLY}


def test_the_steps_follow_the_order_of_the_night(nightly):
    for dag in nightly.values():
        for earlier, later in pairwise(NIGHTLY):
            assert later in downstream(dag["tasks"], earlier), (
                f"{later} does not wait for {earlier}"
            )


def test_the_two_ways_of_retrain_meet_at_the_champion_before_the_day_is_scored(nightly):
    for dag in nightly.values():
        tasks = dag["tasks"]
        assert set(tasks["retrain"]["downstream"]) == {"train", "champion", "watcher"}
        assert {"train", "gate", "promote", "champion"} <= {"train", *downstream(tasks, "train")}
        assert set(tasks["champion"]["downstream"]) == {"predict", "watcher"}
        assert tasks["champion"]["trigger_rule"] == "none_failed", (
            "green unless something before it failed"
        )
        # Neither rule is met early by a task that was skipped: champion itself never is.
        assert tasks["predict"]["trigger_rule"] == "all_done_min_one_success"
        before = {name for name, task in tasks.items() if "predict" in task["downstream"]}
        assert before == {"build_features", "champion"}, (
            "a failed training costs no tables, but no day is scored without its features"
        )
        assert "build_features" not in downstream(tasks, "champion")


def test_the_ways_of_retrain_say_when_they_are_taken(nightly):
    ways = {
        "retrain train": "drift, decay, age or policy",
        "retrain champion": "no retrain needed",
    }
    assert offenders(nightly, lambda dag: dag["labels"] == ways) == []


def test_drift_that_is_not_known_holds_up_nothing_but_a_failed_snapshot_does(nightly):
    for dag in nightly.values():
        before = {name for name, task in dag["tasks"].items() if "retrain" in task["downstream"]}
        assert before == {"snapshot", "check_drift"}
        assert dag["tasks"]["retrain"]["trigger_rule"] == "all_done_min_one_success"


def test_what_compares_with_the_champion_waits_for_the_day_before(nightly):
    for dag in nightly.values():
        assert {"check_drift", "gate", "champion"} <= set(
            dag["tasks"]["scores_before"]["downstream"]
        )


def test_the_watcher_is_the_only_leaf_and_waits_for_every_task(nightly):
    for dag in nightly.values():
        tasks = dag["tasks"]
        assert [name for name, task in tasks.items() if not task["downstream"]] == ["watcher"]
        assert (
            offenders(
                tasks | {"watcher": {"downstream": ["watcher"]}},
                lambda t: "watcher" in t["downstream"],
            )
            == []
        )
        assert tasks["watcher"]["trigger_rule"] == "all_done"


def test_every_task_explains_itself_and_names_the_runbook(tasks):
    assert offenders(tasks, lambda task: "docs/runbook.md#" in task["doc_md"]) == []


def test_no_explanation_is_shown_as_code(tasks):
    """Markdown takes what is indented by four for code: a docstring as it stands in its file."""
    assert offenders(tasks, lambda task: "\n    " not in task["doc_md"]) == []


def test_every_task_has_the_one_owner(tasks):
    assert offenders(tasks, lambda task: task["owner"] == "nightshift") == []


def test_every_task_has_a_pool_that_setup_makes(tasks):
    assert offenders(tasks, lambda task: task["pool"] in POOLS) == []


def test_every_task_ends_at_some_time(tasks):
    assert offenders(tasks, lambda task: 0 < (task["timeout_s"] or 0) <= 6 * 3600) == []


def test_every_task_says_when_it_has_failed(tasks):
    assert offenders(tasks, lambda task: task["failure_callbacks"] == ["report_failure"]) == []


def test_rollback_is_asked_for_by_hand_one_at_a_time_and_dry_unless_told_otherwise(bag):
    dag = bag["dags"]["rollback"]
    assert dag["schedule"] == {} and dag["max_active_runs"] == 1 and dag["tags"] == ["rollback"]
    assert dag["defaults"] == {
        "pipeline": "fraud",
        "what": "both",
        "to": None,
        "reason": None,
        "date": None,
        "dry_run": True,
    }
    assert dag["params"]["pipeline"]["enum"] == list(PIPELINES)
    assert dag["params"]["what"]["enum"] == list(WHAT)
    assert (
        "null" not in dag["params"]["reason"]["type"] and dag["params"]["reason"]["minLength"] == 3
    )


@pytest.mark.parametrize(
    ("to", "taken"),
    [
        ("20180710-0123456789ab", True),
        ("0123abcd", True),
        ("a" * 64, True),
        ("7", True),
        ("0123abc", False),
        ("20180710-0123456789AB", False),
        ("the one before", False),
        ("", False),
        ("7; id", False),
    ],
)
def test_rollback_goes_to_a_version_or_a_model_and_to_nothing_else(bag, to, taken):
    assert bool(re.search(bag["dags"]["rollback"]["params"]["to"]["pattern"], to)) is taken


def test_rollback_waits_for_no_pool_of_the_night_and_is_tried_again_within_seconds(bag):
    (task,) = bag["dags"]["rollback"]["tasks"].values()
    assert task["pool"] == "default_pool" and task["priority"] > 100
    assert task["retries"] * task["retry_delay_s"] <= 30 and task["backoff"] <= 1


def test_all_but_the_watcher_are_tried_again_at_growing_distance(tasks):
    watchers = {name: task for name, task in tasks.items() if task["operator"] == "Watcher"}
    others = {
        name: task for name, task in tasks.items() if name not in {*watchers, "rollback.rollback"}
    }
    assert offenders(watchers, lambda task: task["retries"] == 0) == []
    assert offenders(others, lambda task: task["retries"] == 3) == []
    assert (
        offenders(others, lambda task: task["backoff"] == 2 and task["retry_delay_s"] == 30) == []
    )


def test_every_step_has_the_retry_policy(tasks):
    steps = {name: task for name, task in tasks.items() if task["operator"] in STEP_OPERATORS}
    assert offenders(steps, lambda task: task["has_retry_policy"]) == []


def downstream(tasks, name):
    """The tasks that come after the one called `name`."""
    reached, ahead = set(), [name]
    while ahead:
        fresh = set(tasks[ahead.pop()]["downstream"]) - reached
        reached |= fresh
        ahead += fresh
    return reached
