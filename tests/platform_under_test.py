"""An Airflow of its own on one installation: start it, watch it, find its processes, kill them."""

from __future__ import annotations

import json
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path

import psutil
import pytest

from jobs.core import settings
from jobs.local import airflow, embedded, scheduler
from jobs.local.services import stop
from jobs.local.state import State
from nights import Place, database_of, resume

DAG = "fraud_scores"
NIGHT = timedelta(hours=2)  # the time of day of the nightly schedule


def newest_scheduled_day() -> date:
    """The day of the newest run that the schedule started; before 02:00 it is not yesterday."""
    return (datetime.now(UTC) - NIGHT).date() - timedelta(days=1)


@pytest.fixture(scope="module")
def scheduled(night, services, databases, tmp_path_factory):
    """Airflow over a copy of the installation at a moment: `with scheduled("extract") as platform`.

    `prepare` is called with the copy and gives more for the environment of Airflow's processes.
    """

    @contextmanager
    def make(moment, prepare=lambda place: {}):
        kept = night[moment]
        with (
            databases("serving", database_of(kept.postgres)) as serving,
            databases("airflow") as metadata,
        ):
            home = tmp_path_factory.mktemp("scheduled") / "home"
            place = resume(kept, home, serving, services.redis.rpartition("/")[0] + "/15")
            with running(place, metadata, prepare(place)) as platform:
                yield platform

    return make


@pytest.fixture(scope="module")
def canned(services, databases, tmp_path_factory):
    """Airflow on an empty installation: the steps of its DAGs are canned (tests/canned_dags)."""
    bundle = {
        "name": "dags-folder",
        "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
        "kwargs": {"path": str(Path(__file__).parent / "canned_dags")},
    }
    variables = {"AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps([bundle])}
    home = tmp_path_factory.mktemp("canned") / "home"
    (home / "canned").mkdir(parents=True)
    with databases("serving") as serving, databases("airflow") as metadata:
        place = Place(home, serving, serving, services.redis.rpartition("/")[0] + "/15")
        place.set_params()
        with running(place, metadata, variables) as platform:
            yield platform


@dataclass(frozen=True)
class Platform:
    """An installation with a scheduler that runs its nights."""

    place: Place
    state: State

    @contextmanager
    def api(self, user="admin"):
        with scheduler.log_in(
            airflow.url(self.state), user, airflow.logins(self.state)[user]
        ) as client:
            yield client

    def up(self):
        """Start what died."""
        with self.state.lock():
            embedded.start_airflow(self.state)

    def component(self, name):
        return next(service for service in airflow.services(self.state) if service.name == name)

    def night(self, day):
        """The run of the day, triggered by on-call, once it is over."""
        with self.api("oncall") as api:
            run = api.trigger(DAG, day)
        self.finish(run)
        return run

    def finish(self, run, limit_s=500, dag=DAG):
        """(state of the run when it is over, state by task)"""
        with self.api() as api:
            state = api.wait(dag, run, limit_s)
            return state, {task.name: task.state for task in api.tasks(dag, run).values()}

    def await_task(self, run, task, state, limit_s=400, tries=0):
        """The task, once it is in the state, on that try or a later one."""
        with self.api() as api:
            deadline = time.monotonic() + limit_s
            while (
                state_of_task := api.tasks(DAG, run)[task]
            ).state != state or state_of_task.tries < tries:
                assert time.monotonic() < deadline, f"{state_of_task}\n{self.logs(run)}"
                time.sleep(0.5)
            return state_of_task

    def order(self, day, step, what):
        """What a canned step does on its next tries: `fail`, or `hold` until it is mended."""
        (self.place.home / "canned" / f"{day}-{step}").write_text(what)

    def mend(self, day, step):
        """Withdraw the order."""
        (self.place.home / "canned" / f"{day}-{step}").unlink()

    def await_question(self, run, task="approve", limit_s=60):
        """Once the question can be answered: Airflow 3.3.2 fails a task that is answered before its
        scheduler has heard that the process which asked has ended, and asks again.
        """
        self.await_task(run, task, "awaiting_input")
        with self.api() as api:
            attempt = api.tasks(DAG, run)[task].tries
        heard = re.compile(
            rf"Received executor event with state success .*task_id='{task}', "
            rf"run_id='{re.escape(run)}', "
            rf"try_number={attempt},"
        )
        deadline = time.monotonic() + limit_s
        while not heard.search((self.place.home / "logs" / "scheduler.log").read_text()):
            assert time.monotonic() < deadline, (
                f"the scheduler did not hear of the end of {task} {attempt}"
            )
            time.sleep(0.5)
        time.sleep(1)

    def logs(self, run, dag=DAG):
        """For messages of failed tests: the ends of the logs of the tasks that failed."""
        with self.api() as api:
            failed = [task for task in api.tasks(dag, run).values() if task.state == "failed"]
            return "\n".join(api.log(dag, run, task.name, task.tries)[-3000:] for task in failed)

    def steps(self, step="", day=""):
        """The processes of steps of this installation that run now."""
        return [
            process
            for process in psutil.process_iter()
            if (words := _words(process))[1:3] == ["-m", "jobs"]
            and step in ("", words[3])
            and str(day) in " ".join(words)
            and self._is_home_of(process)
        ]

    def await_step(self, step, day="", limit_s=240):
        """The process of the step, once it runs."""
        deadline = time.monotonic() + limit_s
        while not (processes := self.steps(step, day)):
            assert time.monotonic() < deadline, f"{step} did not start within {limit_s} s"
            time.sleep(0.05)
        return processes[0]

    def leftovers(self, patience_s=10):
        """What still runs for this installation though nothing should: steps and their JVMs."""
        deadline = time.monotonic() + patience_s
        while (processes := self.steps() + self._javas()) and time.monotonic() < deadline:
            time.sleep(0.2)
        return [" ".join(process.cmdline())[:200] for process in processes if process.is_running()]

    def _javas(self):
        return [
            process
            for process in psutil.process_iter(["name"])
            if process.info["name"] == "java" and self._is_home_of(process)
        ]

    def _is_home_of(self, process):
        try:
            return process.environ().get("NIGHTSHIFT_HOME") == str(self.place.home)
        except psutil.Error:
            return False


def kill(process):
    with suppress(psutil.NoSuchProcess):
        process.send_signal(signal.SIGKILL)


def gone(process, limit_s=10):
    """Whether the process ended within the limit."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        with suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                time.sleep(0.05)
                continue
        return True
    return False


@contextmanager
def running(place: Place, database: str, variables: dict[str, str]):
    """Airflow over the installation, its metadata in `database`; stopped when the context ends."""
    more = variables | {
        settings.AIRFLOW_DB: database,
        "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "2",  # a test does not wait as a night would
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
        "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (place.environment | more).items():
            patch.setenv(name, value)
        platform = Platform(place, State(place.home))
        platform.state.prepare()
        try:
            platform.up()
            with platform.api() as api:
                deadline = time.monotonic() + 120
                while not api.knows(DAG):
                    assert time.monotonic() < deadline, "the DAG was not parsed"
                    time.sleep(0.5)
            yield platform
        finally:
            with ThreadPoolExecutor() as together:  # each takes seconds to end
                list(together.map(partial(stop, patience_s=5), airflow.services(platform.state)))


def _words(process):
    try:
        return process.cmdline()
    except psutil.Error:
        return []
