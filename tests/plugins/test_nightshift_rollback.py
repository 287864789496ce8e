"""Rollback as a task: the command that the form comes to, and the day from which it counts."""

from __future__ import annotations

import importlib
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowFailException

FORM = {
    "pipeline": "fraud",
    "what": "both",
    "to": None,
    "reason": "bad",
    "date": None,
    "dry_run": True,
}


@pytest.fixture
def rollback(airflow_variables):
    return importlib.import_module("nightshift.rollback")


@pytest.fixture
def commands(rollback, monkeypatch):
    """`commands(context)`: the words of each command that the task runs."""

    def run(context):
        ran = []
        monkeypatch.setattr(
            rollback.RollbackOperator, "command", lambda self, run, words: ran.append(words)
        )
        rollback.rollback().execute(context)
        return ran

    return run


def context(user="oncall", key=None, **form):
    run = SimpleNamespace(partition_key=key, triggering_user_name=user)
    return {"dag_run": run, "params": FORM | form}


def test_the_form_becomes_words_of_a_command_and_what_is_served_is_said_last(commands):
    assert commands(context(to="7", what="model", dry_run=False)) == [
        [
            "rollback",
            "fraud",
            "--what",
            "model",
            "--to=7",
            "--reason=bad",
            "--by=oncall",
            "--no-dry-run",
        ],
        ["served", "fraud"],
    ]


def test_a_dry_run_says_so_and_an_unknown_user_is_airflow(commands):
    words, _ = commands(context(user=None))
    assert words[-2:] == ["--by=airflow", "--dry-run"] and not any(
        word.startswith("--to") for word in words
    )


@pytest.mark.parametrize("reason", ["--dry-run", "-x", "$(id); `id`", "two\nlines"])
def test_a_reason_is_one_word_whatever_is_in_it(commands, reason):
    words, _ = commands(context(reason=reason, dry_run=False))
    assert f"--reason={reason}" in words and "--dry-run" not in words and "--no-dry-run" in words


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, []),
        ({"date": "2018-07-03"}, ["--date", "2018-07-03"]),
        ({"key": "2018-07-03"}, ["--date", "2018-07-03"]),
    ],
)
def test_the_day_is_that_of_the_form_else_the_command_takes_that_of_the_newest_night(
    commands, given, said
):
    words, _ = commands(context(**given))
    assert words[2 : words.index("--what")] == said


def test_a_day_that_is_not_over_is_refused(commands):
    with pytest.raises(AirflowFailException, match="not over yet"):
        commands(context(date="2999-01-01"))
