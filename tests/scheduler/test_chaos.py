"""Kill everything during a night; the night must end as an undisturbed one does.

Each test is one night of DAY that kills the same thing once in every step. What was killed and how
the night recovered becomes a row of docs/reliability.md.
"""

from __future__ import annotations

import time

import psutil
import pytest

from jobs.core import settings
from jobs.core.steps import NIGHTLY
from jobs.local import embedded, mlflow, postgres, redis
from jobs.local.state import State
from nights import DAY
from platform_under_test import DAG, gone, kill

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1500)]


@pytest.fixture
def platform(scheduled):
    """An Airflow before the night of DAY."""
    with scheduled("extract") as platform:
        yield platform


@pytest.fixture
def run(platform):
    """The run of the night, just triggered."""
    with platform.api("oncall") as api:
        return api.trigger(DAG, DAY)


def equal(platform, run, night):
    """The night ended green with the digests of the undisturbed one, and no process remains."""
    state, tasks = platform.finish(run)
    assert state == "success", f"{tasks}\n{platform.logs(run)}"
    assert platform.place.digests() == night["end"].digests
    assert platform.leftovers() == []


def test_each_task_is_killed(platform, run, night, kills):
    """The task's process in Airflow dies: its step must die with it, and a retry take over."""
    for step in NIGHTLY:
        process = platform.await_step(step)
        kill(process.parent())
        assert gone(process), f"{step} outlived its task"
        kills.add(step, "the task's process", "Airflow's retry")
    equal(platform, run, night)


def test_each_step_is_killed(platform, run, night, kills):
    """The step's own process, some time into its work."""
    for n, step in enumerate(NIGHTLY):
        process = platform.await_step(step)
        time.sleep(0.7 * (n % 4))  # sooner and later
        kill(process)
        kills.add(step, "the step's process", "Airflow's retry")
    equal(platform, run, night)


def test_the_scheduler_is_killed(platform, run, night, kills):
    """With all that it started; then `nightshift up`, which is what on-call would type."""
    for step in ("extract", "snapshot", "publish"):
        process = platform.await_step(step)
        kill(platform.component("scheduler").leader)
        assert gone(process), f"{step} outlived the scheduler"
        assert platform.leftovers() == []
        platform.up()
        kills.add(step, "the scheduler", "`nightshift up`")
    equal(platform, run, night)


def test_the_other_components_are_killed(platform, run, night, kills):
    for step, name in [
        ("validate", "api-server"),
        ("build_features", "dag-processor"),
        ("train", "triggerer"),
    ]:
        platform.await_step(step)
        kill(platform.component(name).leader)
        platform.up()
        kills.add(step, f"the {name}", "`nightshift up`")
    equal(platform, run, night)


@pytest.mark.parametrize(
    ("store", "steps"),
    [
        (redis, ("publish", "verify")),
        (mlflow, ("train", "promote")),
        (postgres, ("extract", "gate", "publish")),
    ],
    ids=["redis", "mlflow", "postgres"],
)
def test_a_store_is_killed(platform, run, night, kills, services, store, steps):
    """The store stays away for seconds; then `nightshift up`, and Clear if no retry is left."""
    for step in steps:
        platform.await_step(step)
        for process in store.service(State(services.home)).members():
            kill(process)
        time.sleep(3)
        embedded.up(services)
        platform.up()
        kills.add(step, store.__name__.rpartition(".")[2], "`nightshift up`, Airflow's retry")
    with platform.api("oncall") as api:
        if api.wait(DAG, run, 900) == "failed":
            api.clear_run(DAG, run, only_failed=True)
    equal(platform, run, night)


def test_on_call_clears_and_triggers_what_runs(platform, run, night, kills):
    """Clear a running task and a running run, trigger a date twice, mark a run as failed."""
    with platform.api("oncall") as api:
        process = platform.await_step("build_features")
        api.clear(DAG, run, "build_features")
        assert gone(process, 60), "a cleared task went on"
        kills.add("build_features", "cleared while it ran", "Airflow runs it again")
        process = platform.await_step("snapshot")
        api.clear_run(DAG, run)
        assert gone(process, 60)
        kills.add("snapshot", "the whole run cleared while it ran", "Airflow runs it again")
        process = platform.await_step("build_features")
        api.mark(DAG, run, "failed")
        assert gone(process, 60), "a run marked failed went on"
        kills.add("build_features", "the run marked failed while it ran", "Clear of the run")
        api.clear_run(DAG, run)
        second = api.trigger(DAG, DAY)
        kills.add("extract", "nothing: the same date triggered while it runs", "both end")
    state, _ = platform.finish(second, 900)
    assert state == "success", platform.logs(second)
    equal(platform, run, night)


def test_everything_is_killed_at_once(platform, run, night, kills, services):
    """A simulated power cut in the middle of publish: every process is killed at one moment."""
    platform.await_step("publish")
    ours = [
        each
        for name in ("scheduler", "api-server", "dag-processor", "triggerer")
        for each in platform.component(name).members()
    ]
    stores = [
        each
        for store in (redis, mlflow, postgres)
        for each in store.service(State(services.home)).members()
    ]
    for process in [*ours, *stores, *platform.steps()]:
        kill(process)
    assert all(gone(process) for process in ours if isinstance(process, psutil.Process))
    embedded.up(services)
    platform.up()
    kills.add("publish", "every process at once", "`nightshift up`")
    equal(platform, run, night)
    assert settings.load().home == platform.place.home
