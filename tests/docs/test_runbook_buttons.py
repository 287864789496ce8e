"""A test presses every button and form of the runbook; a table here names the test.

The runbook sets a button in italics, with its name in Airflow's UI.
"""

from __future__ import annotations

import ast
import re

import pytest

from jobs.core.settings import PROJECT

RUNBOOK = (PROJECT / "docs" / "runbook.md").read_text()
CLEAR, WALK = "tests/browser/test_clear_in_the_ui.py", "tests/scheduler/test_buttons.py"
NIGHT, APPROVAL = "tests/scheduler/test_scheduled_night.py", "tests/scheduler/test_approval.py"
IN_THE_UI = "tests/browser/test_in_the_ui.py"
BUTTONS = {
    "Clear": [
        (
            WALK,
            "test_clear_of_a_task_of_a_run_and_of_runs_in_the_list_while_the_deadline_is_pending",
        ),
        (WALK, "test_clear_of_a_task_that_runs_and_of_a_run_that_was_marked_failed"),
        (WALK, "test_a_run_of_an_earlier_release_can_be_cleared_once_airflow_has_been_started"),
        (CLEAR, "test_a_failed_task_is_cleared_with_downstream_and_the_run_heals"),
    ],
    "Downstream": [(CLEAR, "test_a_failed_task_is_cleared_with_downstream_and_the_run_heals")],
    "Trigger": [
        (WALK, "test_every_run_shows_its_day_as_its_partition_key_also_where_the_form_named_it"),
        (NIGHT, "test_the_form_names_the_day_and_can_ask_for_ingest_alone"),
        (
            IN_THE_UI,
            "test_former_tables_and_model_are_served_again_while_clients_see_whole_versions",
        ),
    ],
    "Mark as failed": [
        (WALK, "test_clear_of_a_task_that_runs_and_of_a_run_that_was_marked_failed")
    ],
    "Delete": [(WALK, "test_a_run_is_deleted")],
    "Unpause": [
        (WALK, "test_a_paused_dag_starts_nothing_until_it_is_unpaused_and_freshness_is_cleared")
    ],
    "Admin, Pools": [(WALK, "test_a_missing_pool_is_imported_again")],
    "Backfill": [
        (WALK, "test_a_backfill_is_made_in_the_ui_shows_its_days_and_is_cancelled"),
        ("tests/scheduler/test_backfill.py", "test_three_runs_at_once_equal_the_days_in_series"),
    ],
    "Cancel": [(WALK, "test_a_backfill_is_made_in_the_ui_shows_its_days_and_is_cancelled")],
    "Required Actions": [
        (IN_THE_UI, "test_a_waiting_challenger_is_read_about_and_approved_with_a_comment")
    ],
    "Approve": [
        (APPROVAL, "test_an_approved_challenger_becomes_champion_in_the_name_of_who_approved")
    ],
    "Reject": [
        (
            APPROVAL,
            "test_a_cleared_question_is_asked_anew_and_a_declined_challenger_leaves_the_champion",
        )
    ],
    "Task Documentation": [
        (
            "tests/plugins/test_nightshift_triage.py",
            "test_a_step_says_what_it_does_and_how_to_run_it_by_hand",
        )
    ],
}
FORMS = {
    "fraud_scores": BUTTONS["Trigger"],
    "movie_recommendations": [
        ("tests/scheduler/test_both_nights.py", "test_both_nights_at_once_end_as_each_alone")
    ],
    "freshness": BUTTONS["Unpause"],
    "housekeeping": [(WALK, "test_housekeeping_by_hand_is_a_dry_run_until_it_is_switched_off")],
    "rollback": [
        (
            "tests/scheduler/test_rollback_form.py",
            "test_both_go_back_in_seconds_though_clickhouse_is_busy",
        )
    ],
}


def test_every_button_of_the_runbook_is_in_the_table_and_no_other():
    assert set(re.findall(r"(?<!\*)\*([A-Z][^*\n]+)\*(?!\*)", RUNBOOK)) == set(BUTTONS)


def test_every_form_is_in_the_table():
    assert {path.stem for path in (PROJECT / "dags").glob("*.py")} == set(FORMS)


@pytest.mark.parametrize(("name", "tests"), [*BUTTONS.items(), *FORMS.items()])
def test_each_is_pressed_by_a_test_that_exists(name, tests):
    for file, test in tests:
        functions = {
            each.name
            for each in ast.walk(ast.parse((PROJECT / file).read_text()))
            if isinstance(each, ast.FunctionDef)
        }
        assert test in functions, f"{name}: {file} has no {test}"
