"""A client of Airflow's REST API for demo, bench and tests: trigger, follow, clear."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TypedDict

import httpx

from jobs.core.errors import StoreError

OVER = ("success", "failed")


@dataclass(frozen=True)
class Task:
    """One task of a run: state (None: not scheduled yet), try number, start and end."""

    name: str
    state: str | None
    tries: int
    start: datetime | None
    end: datetime | None


class _TaskRow(TypedDict):
    task_id: str
    state: str | None
    try_number: int
    start_date: str | None
    end_date: str | None


class _LogEvent(TypedDict, total=False):
    event: str
    error_detail: list[dict[str, str]] | None


class Scheduler:
    """The API of one Airflow for one user; methods raise StoreError if it does not answer."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def call(self, method: str, path: str, body: object = None, **query: str | int) -> Any:
        """Return the answer of `/api/v2/<path>` as parsed JSON."""
        try:
            response = self._http.request(method, f"/api/v2/{path}", json=body, params=query)
            response.raise_for_status()
        except httpx.HTTPError as error:
            text = error.response.text[:500] if isinstance(error, httpx.HTTPStatusError) else ""
            raise StoreError(
                f"Airflow: {method} {path}: {error} {text}".strip(),
                remedy="check that it runs (`nightshift up`), then try again",
            ) from error
        return response.json() if response.content else None

    def knows(self, dag: str) -> bool:
        """Whether the DAG has been parsed."""
        return any(row["dag_id"] == dag for row in self.call("GET", "dags", limit=100)["dags"])

    def runs(self, dag: str, day: date) -> list[str]:
        """Return the ids of the runs of a day, oldest first."""
        answer = self.call("GET", f"dags/{dag}/dagRuns", limit=1000, order_by="run_after")
        runs = answer["dag_runs"]
        return [run["dag_run_id"] for run in runs if run["partition_key"] == str(day)]

    def trigger(self, dag: str, day: date, **form: object) -> str:
        """Start a run of the day; return its id."""
        body = {"logical_date": None, "partition_key": str(day), "conf": form}
        return str(self.call("POST", f"dags/{dag}/dagRuns", body)["dag_run_id"])

    def state(self, dag: str, run: str) -> str:
        return str(self.call("GET", f"dags/{dag}/dagRuns/{run}")["state"])

    def tasks(self, dag: str, run: str) -> dict[str, Task]:
        """Return the tasks of a run by name."""
        answer = self.call("GET", f"dags/{dag}/dagRuns/{run}/taskInstances", limit=100)
        return {row["task_id"]: _task(row) for row in answer["task_instances"]}

    def clear(self, dag: str, run: str, *tasks: str, downstream: bool = True) -> None:
        """Clear tasks as the UI does: they run again, and with `downstream` all later ones."""
        body = {
            "dry_run": False,
            "dag_run_id": run,
            "task_ids": list(tasks),
            "only_failed": False,
            "include_downstream": downstream,
            "include_upstream": False,
            "include_future": False,
            "include_past": False,
        }
        self.call("POST", f"dags/{dag}/clearTaskInstances", body)

    def clear_run(self, dag: str, run: str, *, only_failed: bool = False) -> None:
        """Clear all tasks of a run, or only the failed ones."""
        self.call(
            "POST",
            f"dags/{dag}/dagRuns/{run}/clear",
            {"dry_run": False, "only_failed": only_failed},
        )

    def mark(self, dag: str, run: str, state: str) -> None:
        """Set the state of a run manually; running tasks are stopped."""
        self.call("PATCH", f"dags/{dag}/dagRuns/{run}", {"state": state})

    def log(self, dag: str, run: str, task: str, attempt: int = 1) -> str:
        """Return the log of one try of a task: one line per event and per exception of it."""
        path = f"dags/{dag}/dagRuns/{run}/taskInstances/{task}/logs/{attempt}"
        events = self.call("GET", path, full_content=True)["content"]
        return "\n".join(line for event in events for line in _lines(event))

    def wait(
        self, dag: str, run: str, limit_s: float, watch: Callable[[], None] = lambda: None
    ) -> str:
        """Wait until the run has ended; return its state. StoreError after `limit_s` seconds."""
        deadline = time.monotonic() + limit_s
        while (state := self.state(dag, run)) not in OVER:
            if time.monotonic() > deadline:
                raise StoreError(
                    f"{dag} {run} is still {state} after {limit_s:g} s", remedy="look at its tasks"
                )
            watch()
            time.sleep(1)
        return state


@contextmanager
def log_in(url: str, user: str, password: str) -> Iterator[Scheduler]:
    """Log in to Airflow; StoreError if it does not answer or refuses the login."""
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as http:
        try:
            answer = http.post("/auth/token", json={"username": user, "password": password})
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise StoreError(
                f"Airflow at {url} refused the login of {user}: {error}",
                remedy="start it (`make up`), then try again",
            ) from error
        http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        yield Scheduler(http)


def _task(row: _TaskRow) -> Task:
    start, end = (
        datetime.fromisoformat(text) if text else None
        for text in (row["start_date"], row["end_date"])
    )
    return Task(row["task_id"], row["state"], row["try_number"], start, end)


def _lines(event: str | _LogEvent) -> list[str]:
    """Return the text of a log event, then its exceptions, which Airflow keeps apart."""
    if isinstance(event, str):
        return [event]
    exceptions = event.get("error_detail") or []
    return [
        str(event.get("event", event)),
        *(f"{exception['exc_type']}: {exception['exc_value']}" for exception in exceptions),
    ]
