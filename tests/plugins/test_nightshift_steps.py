"""A step as a task: what its process gets, what its end means, and that it dies with its task."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import deque
from contextlib import closing
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import psycopg2
import pytest
from process_watch import alive, end, wait_until
from structlog.stdlib import PositionalArgumentsFormatter
from structlog.testing import capture_logs

from jobs.core import locks, settings
from jobs.core.manifest import manifest_name
from jobs.core.pg_variables import set_aside
from jobs.core.steps import STEPS

DAY = date(2018, 7, 10)
LOCK = manifest_name("fraud", "extract", DAY)
TASK = f"""
import sys
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from nightshift.tasks import step_task
step_task("fraud", "extract")._run(date.fromisoformat("{DAY}"), Path(sys.argv[1]))
"""


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (65, "PermanentFailure"),
        (78, "PermanentFailure"),
        (75, "StepFailed"),
        (1, "StepFailed"),
        (-9, "StepFailed"),
        (-15, "StepFailed"),
        (137, "StepFailed"),
    ],
)
def test_the_exit_code_says_whether_trying_again_may_help(steps, code, name):
    assert type(steps.failure("fraud/extract", code, deque())).__name__ == name


def test_only_what_must_be_mended_is_not_tried_again(steps):
    for error, action in (
        (steps.PermanentFailure("x"), "FAIL"),
        (steps.StepFailed("x"), "DEFAULT"),
        (OSError(), "DEFAULT"),
    ):
        assert steps.RETRY_POLICY.evaluate(error, 1, 3).action.name == action


def test_a_failure_has_the_words_of_the_last_error(steps):
    log = [
        "reading\n",
        "error: the first\n",
        "trying again\n",
        "error: no disk\n",
        "  Next: make room\n",
    ]
    failed = steps.failure("fraud/extract", 75, deque(log))
    assert failed.text == "no disk\n  Next: make room"
    assert str(failed) == "no disk", (
        "Airflow shows the exception too: its words are not to be there twice"
    )


def test_a_failure_without_words_has_the_end_of_the_log(steps):
    log = [f"line {n}\n" for n in range(9)]
    assert steps.failure("fraud/extract", 1, deque(log)).text == (
        "fraud/extract: ended with exit code 1\nline 6\nline 7\nline 8"
    )


def test_a_killed_step_is_said_to_be(steps):
    assert "killed" in str(steps.failure("fraud/extract", -9, deque(["reading\n"])))


def test_a_step_that_native_code_ended_is_said_to_be(steps):
    assert "SIGSEGV" in str(steps.failure("fraud/extract 2018-07-10", -11, deque(["reading\n"])))


def test_no_password_of_a_step_is_in_its_failure(steps):
    tail = deque(["error: MLflow at http://night:pass/word@host:5000 failed\n"])
    assert str(steps.failure("x", 75, tail)) == "MLflow at http://***@host:5000 failed"


def test_a_step_gets_the_environment_without_what_is_airflows(steps):
    theirs = {
        "AIRFLOW_HOME": "x",
        "AIRFLOW__CORE__FERNET_KEY": "x",
        "AIRFLOW_CTX_DAG_ID": "x",
        "_AIRFLOW_Y": "x",
        "NIGHTSHIFT_AIRFLOW_DB": "x",
        "NIGHTSHIFT_AIRFLOW_DSN": "x",
        "NIGHTSHIFT_AIRFLOW_JWT_SECRET": "x",
    }
    ours = {
        "PATH": "/bin",
        "NIGHTSHIFT_HOME": "h",
        "NIGHTSHIFT_POSTGRES_DSN": "d",
        "MLFLOW_TRACKING_URI": "m",
    }
    added = {"NIGHTSHIFT_PARENT": str(os.getpid()), "PYTHONUNBUFFERED": "1"}
    assert steps.environment(theirs | ours | {"NIGHTSHIFT_PARENT": "1"}) == ours | added


def test_a_step_gets_the_libpq_variables_that_airflow_itself_does_not(steps):
    service = set_aside({"PATH": "/bin", "PGSSLROOTCERT": "/ca.pem"})
    assert "PGSSLROOTCERT" not in service
    assert steps.environment(service)["PGSSLROOTCERT"] == "/ca.pem"


def test_every_step_that_airflow_runs_has_a_time_limit(steps):
    assert {name for name, row in STEPS.items() if row.timeout is None} == {"reconcile"}


@pytest.mark.process
def test_a_store_that_does_not_answer_may_be_tried_again(steps, tmp_path, monkeypatch, step_task):
    monkeypatch.setenv(settings.POSTGRES, "postgresql://nobody@127.0.0.1:1/nothing")
    with pytest.raises(
        steps.StepFailed, match=r"^fraud/extract 2018-07-10: PostgreSQL does not answer"
    ) as failed:
        step_task("fraud", "extract")._run(DAY, tmp_path / "receipt.json")
    assert type(failed.value) is steps.StepFailed
    assert "Next: start it" in failed.value.text
    assert failed.value.section == "postgresql-is-down"


@pytest.mark.process
def test_wrong_parameters_must_be_mended_first(steps, tmp_path, monkeypatch, step_task):
    wrong = tmp_path / "params.yaml"
    wrong.write_text("fraud:\n  extract: {volume_window_days: many}\n")
    monkeypatch.setenv("NIGHTSHIFT_PARAMS", str(wrong))
    with pytest.raises(steps.PermanentFailure, match="fraud"):
        step_task("fraud", "extract")._run(DAY, tmp_path / "receipt.json")


@pytest.fixture
def logged():
    """(level, text) of each line that an operator has logged."""
    with capture_logs(processors=[PositionalArgumentsFormatter()]) as entries:
        yield lambda: [(entry["log_level"], entry["event"]) for entry in entries]


@pytest.mark.process
def test_the_error_is_logged_once_last_and_as_an_error(steps, logged):
    words = ["extract", "--pipeline", "none", "--date", str(DAY)]
    with pytest.raises(steps.PermanentFailure) as failed:
        steps.CommandOperator(task_id="x").command("none/extract", words)
    what, where, remedy, runbook = failed.value.text.splitlines()
    assert what == "there is no such pipeline" and where == "  Input: none."
    assert remedy.startswith("  Next: ") and "#a-setting-is-wrong" in runbook
    assert logged()[-1] == ("error", failed.value.text)
    for part in (what, where.strip(), remedy.strip(), runbook.strip()):
        assert [level for level, text in logged() if part in text] == ["error"]


@pytest.mark.parametrize("more", [0, 3, 50])
def test_no_line_of_a_step_is_lost_and_only_an_error_that_may_be_the_last_is_held_back(
    steps, logged, more
):
    own = ["error: a library's own", *(f"line {n}" for n in range(more))]
    last = ["error: the last", "  Next: go on"]
    _, held = steps.CommandOperator(task_id="x")._follow(
        f"{line}\n" for line in ["reading", *own, *last]
    )
    assert logged() == [("info", line) for line in ["reading", *own]]
    assert held == last


def test_no_terminal_acts_on_what_a_library_prints(steps, logged):
    tail, _ = steps.CommandOperator(task_id="x")._follow(["\x1b[31m red\u202e\n"])
    assert logged() == [("info", r"\x1b[31m red\u202e")] and tail[0] == r"\x1b[31m red\u202e"


@pytest.fixture
def waiting(services):
    """The lock of extract is held: a new step waits, and `waiting()` says whether one does."""
    with (
        locks.hold(services.postgres, LOCK, "a test"),
        closing(psycopg2.connect(services.postgres)) as session,
    ):
        session.autocommit = True

        def sessions():
            with session.cursor() as cursor:
                query = (
                    "SELECT count(*) FROM pg_stat_activity WHERE starts_with(application_name, %s)"
                )
                cursor.execute(query, (f"fraud/extract {DAY}",))
                return cursor.fetchone()[0]

        yield sessions


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_a_step_dies_with_the_process_of_its_task(waiting, component_environment, tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", TASK, tmp_path / "receipt.json"],
        env=component_environment,
        stdout=subprocess.DEVNULL,
    ) as task:
        started = []
        try:
            assert wait_until(waiting, seconds=60)
            started = children(task.pid)
            assert len(started) == 1
            assert b"\0jobs\0extract\0" in Path(f"/proc/{started[0]}/cmdline").read_bytes()
            task.kill()
            task.wait()
            assert wait_until(lambda: not alive(started[0]), seconds=2)
            assert wait_until(lambda: waiting() == 0, seconds=5)
        finally:
            end([*started, task.pid])


def test_a_task_that_is_ended_ends_its_step(steps, waiting, tmp_path, step_task):
    operator, failed = step_task("fraud", "extract"), []

    def run():
        try:
            operator._run(DAY, tmp_path / "receipt.json")
        except steps.StepFailed as error:
            failed.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert wait_until(waiting, seconds=60)
    finally:
        operator.on_kill()
        thread.join(timeout=30)
    assert "killed" in failed[0]
    assert wait_until(lambda: waiting() == 0, seconds=5)
    operator.on_kill()  # again, when nothing is left to end


def children(pid):
    """The processes that the process started."""
    return [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]


@pytest.mark.parametrize(
    ("step", "run_type", "force", "option"),
    [
        ("extract", "scheduled", False, ("--force",)),
        ("extract", "manual", False, ()),
        ("extract", "manual", True, ("--force",)),
        ("extract", "backfill", False, ()),
        ("extract", "backfill", True, ("--force",)),
        ("validate", "scheduled", True, ()),
    ],
)
def test_only_a_day_by_hand_can_be_mistyped(steps, step, run_type, force, option):
    context = {"dag_run": SimpleNamespace(run_type=run_type), "params": {"force": force}}
    assert steps.force_option(step, context) == option
