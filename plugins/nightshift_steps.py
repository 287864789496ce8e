"""A step as a task: the process `python -m jobs STEP --pipeline P --date D`, which dies with its task.

The process keeps Spark, XGBoost and the stores' clients out of Airflow, and is the command that a shell, DVC
and a pod run too. Its log is the task's log; its XCom is the name of its manifest and the rows it wrote.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, BaseOperator, ExceptionRetryPolicy, RetryAction, RetryRule
from airflow.sdk.exceptions import AirflowException, AirflowSkipException

from jobs.core.errors import ConfigError, DataError
from jobs.core.settings import PROJECT
from nightshift_dates import day_of
from nightshift_triage import step_doc

if TYPE_CHECKING:
    from airflow.sdk import Context

INGEST = ("extract", "validate", "build_features")
CLICKHOUSE = ("build_features", "snapshot", "gate", "predict", "publish", "verify")  # who opens it

# Ten times what a large night took, so that only a process that hangs is ended.
TIMEOUTS = {
    "extract": timedelta(hours=1), "validate": timedelta(hours=1), "build_features": timedelta(hours=2),
    "snapshot": timedelta(hours=2), "train": timedelta(hours=5), "gate": timedelta(hours=1),
    "promote": timedelta(minutes=30), "predict": timedelta(hours=2), "publish": timedelta(hours=1),
    "verify": timedelta(hours=1),
}  # fmt: skip


class StepFailed(AirflowException):
    """The step's process failed; trying again may help: a store was away, memory was short, it was killed."""


class MendFirst(StepFailed):
    """Its input or a parameter is wrong; trying again cannot help before that is mended."""


# The step says by its exit code which of the two it was (jobs/core/errors.py).
FINAL = (DataError.exit_code, ConfigError.exit_code)
RETRY_POLICY = ExceptionRetryPolicy(
    [RetryRule(MendFirst, RetryAction.FAIL, reason="the input or a parameter must be mended first")]
)


class StepOperator(BaseOperator):
    """Run one step of a pipeline for the day of the run; skipped where the form asks for ingest alone."""

    ui_color = "#e8f0fe"

    def __init__(self, *, pipeline: str, step: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pipeline, self.step = pipeline, step
        self._process: subprocess.Popen[str] | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """The name of the manifest and the rows of each output. Raises StepFailed or MendFirst."""
        day = day_of(context)
        if context["params"]["steps"] == "ingest" and self.step not in INGEST:
            raise AirflowSkipException("this run was asked to ingest only")
        if self.step == INGEST[0]:
            context["asset_state_store"][nights(self.pipeline)].set(str(day), context["dag_run"].run_id)
        with tempfile.TemporaryDirectory(prefix="nightshift-") as scratch:
            receipt = Path(scratch) / "receipt.json"
            self._run(day, receipt)
            return _headline(json.loads(receipt.read_text()))

    def on_kill(self) -> None:
        """End the step and what it started; a step may be killed at any instant."""
        if self._process:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _run(self, day: date, receipt: Path) -> None:
        command = [
            *(sys.executable, "-m", "jobs", self.step, "--pipeline", self.pipeline),
            *("--date", str(day), "--receipt", str(receipt)),
        ]
        self.log.info("%s", " ".join(["nightshift", *command[3:-2]]))
        self._process = subprocess.Popen(
            command, cwd=PROJECT, env=environment(os.environ), text=True, errors="replace",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        tail: deque[str] = deque(maxlen=50)
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.log.info("%s", line.rstrip())
            tail.append(line)
        if code := self._process.wait():
            raise failure(f"{self.pipeline}/{self.step} {day}", code, tail)


def environment(known: Mapping[str, str]) -> dict[str, str]:
    """What a step's process gets: all but Airflow's own settings and secrets, and whose death ends it."""
    mine = {name: value for name, value in known.items() if not name.startswith(("AIRFLOW", "_AIRFLOW"))}
    mine = {name: value for name, value in mine.items() if not name.startswith("NIGHTSHIFT_AIRFLOW")}
    return mine | {"NIGHTSHIFT_PARENT": str(os.getpid()), "PYTHONUNBUFFERED": "1"}


def failure(run: str, code: int, tail: deque[str]) -> StepFailed:
    """The exception for an exit code, with the step's own words: its last `error:` and what follows."""
    lines = [line.rstrip() for line in tail]
    said = max((n for n, line in enumerate(lines) if line.startswith("error:")), default=None)
    if said is not None:
        text = "\n".join(lines[said:]).removeprefix("error: ")
    elif code == -signal.SIGKILL:
        text = f"{run}: killed; if nobody did, the machine was out of memory"
    else:
        text = "\n".join([f"{run}: ended with exit code {code}", *lines[-3:]])
    return (MendFirst if code in FINAL else StepFailed)(text)


def nights(pipeline: str) -> Asset:
    """Where the runs of a pipeline leave, by day, which run it is: a run of D looks for that of D-1."""
    return Asset(name=f"{pipeline}.nights", uri=f"nightshift://{pipeline}/nights", group="nightshift")


def step_task(pipeline: str, step: str, **overrides: Any) -> StepOperator:
    """The task of a step, called like it; training goes through here too, wherever it comes to run."""
    pool = "clickhouse" if step in CLICKHOUSE else "training" if step == "train" else "default_pool"
    settings: dict[str, Any] = {
        "task_id": step,
        "pool": pool,
        "execution_timeout": TIMEOUTS[step],
        "retry_policy": RETRY_POLICY,
        "inlets": [nights(pipeline)] if step == INGEST[0] else [],
        "doc_md": step_doc(pipeline, step),
    }
    return StepOperator(pipeline=pipeline, step=step, **(settings | overrides))


def _headline(receipt: dict[str, Any]) -> dict[str, Any]:
    """What goes into XCom: the manifest's name, rows of each output, the model's digest."""
    return {
        "manifest": f"{receipt['step']}/{receipt['date']}",
        "rows": {name: rows for name, rows, _ in receipt["outputs"]},
        "model": receipt["model_digest"],
    }
