"""Airflow's REST API, as far as the demo, the bench and the tests use it: trigger, follow, clear."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import httpx

from jobs.core.errors import StoreError

OVER = ("success", "failed")


@dataclass(frozen=True)
class Task:
    """One task of a run: its state (None: not scheduled yet), its try, and from when to when it ran."""

    name: str
    state: str | None
    tries: int
    start: datetime | None
    end: datetime | None


class Scheduler:
    """The API of one Airflow as one of its users. Every method raises StoreError when it does not answer."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """The answer of `/api/v2/<path>` as parsed JSON."""
        try:
            response = self._http.request(method, f"/api/v2/{path}", json=body, params=query)
            response.raise_for_status()
        except httpx.HTTPError as error:
            said = error.response.text[:500] if isinstance(error, httpx.HTTPStatusError) else ""
            raise StoreError(
                f"Airflow: {method} {path}: {error} {said}".strip(),
                remedy="see that it runs (`nightshift up`), then try again",
            ) from error
        return response.json() if response.content else None

    def knows(self, dag: str) -> bool:
        """Whether the DAG has been parsed."""
        return any(found["dag_id"] == dag for found in self.call("GET", "dags", limit=100)["dags"])

    def runs(self, dag: str, day: date) -> list[str]:
        """The runs of a day, oldest first."""
        found = self.call("GET", f"dags/{dag}/dagRuns", limit=1000, order_by="run_after")[
            "dag_runs"
        ]
        return [run["dag_run_id"] for run in found if run["partition_key"] == str(day)]

    def trigger(self, dag: str, day: date, **form: Any) -> str:
        """Start a run of the day and return its id."""
        body = {"logical_date": None, "partition_key": str(day), "conf": form}
        return str(self.call("POST", f"dags/{dag}/dagRuns", body)["dag_run_id"])

    def state(self, dag: str, run: str) -> str:
        return str(self.call("GET", f"dags/{dag}/dagRuns/{run}")["state"])

    def tasks(self, dag: str, run: str) -> dict[str, Task]:
        """The tasks of a run by name."""
        found = self.call("GET", f"dags/{dag}/dagRuns/{run}/taskInstances", limit=100)[
            "task_instances"
        ]
        return {each["task_id"]: _task(each) for each in found}

    def clear(self, dag: str, run: str, *tasks: str, downstream: bool = True) -> None:
        """What the UI does on Clear: these tasks run again, and with `downstream` all after them."""
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
        """All tasks of a run again, or those that failed."""
        self.call(
            "POST",
            f"dags/{dag}/dagRuns/{run}/clear",
            {"dry_run": False, "only_failed": only_failed},
        )

    def mark(self, dag: str, run: str, state: str) -> None:
        """Set the state of a run by hand; what runs is ended."""
        self.call("PATCH", f"dags/{dag}/dagRuns/{run}", {"state": state})

    def log(self, dag: str, run: str, task: str, attempt: int = 1) -> str:
        """The log of one try of a task, one event a line."""
        path = f"dags/{dag}/dagRuns/{run}/taskInstances/{task}/logs/{attempt}"
        events = self.call("GET", path, full_content=True)["content"]
        return "\n".join(
            str(each.get("event", each)) if isinstance(each, dict) else each for each in events
        )

    def wait(
        self, dag: str, run: str, limit_s: float, watch: Callable[[], None] = lambda: None
    ) -> str:
        """The state in which the run ended; StoreError when it has not within the limit."""
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
def connect(url: str, user: str, password: str) -> Iterator[Scheduler]:
    """Log in. Raises StoreError when Airflow does not answer or does not know the login."""
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as http:
        try:
            answer = http.post("/auth/token", json={"username": user, "password": password})
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise StoreError(
                f"Airflow at {url} let {user} not in: {error}",
                remedy="start it (`make up`), then try again",
            ) from error
        http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        yield Scheduler(http)


def _task(found: dict[str, Any]) -> Task:
    start, end = (
        found[name] and datetime.fromisoformat(found[name]) for name in ("start_date", "end_date")
    )
    return Task(found["task_id"], found["state"], found["try_number"], start, end)
