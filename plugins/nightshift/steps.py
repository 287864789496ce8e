"""A step as a task: the process `python -m jobs STEP --pipeline P --date D`, which dies with its task; or a pod of it.

The process keeps Spark, XGBoost and the stores' clients out of Airflow, and is the command that a shell, DVC
and a pod run too. Its log is the task's log; its XCom is the name of its manifest and the rows it wrote.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from airflow.sdk import Asset, BaseOperator, ExceptionRetryPolicy, RetryAction, RetryRule
from airflow.sdk.api.datamodels._generated import DagRunType
from airflow.sdk.exceptions import AirflowException, AirflowSkipException

from jobs.core import pods
from jobs.core.errors import ConfigError, DataError
from jobs.core.masking import mask
from jobs.core.pg_variables import restored
from jobs.core.settings import PROJECT, load
from jobs.core.steps import INGEST, NIGHTLY, STEPS
from jobs.core.text import printable
from nightshift.dates import day_of
from nightshift.docs import link
from nightshift.events import emit, outlets
from nightshift.triage import step_doc

if TYPE_CHECKING:
    from airflow.sdk import Context


class Logger(Protocol):
    """What an operator logs with."""

    def error(self, event: str, *args: Any) -> Any: ...


class StepFailed(AirflowException):
    """The step's process failed; trying again may help: a store was away, memory was short, it was killed.

    As an exception, which Airflow folds away in the log, it is its first line; `text` has all parts of the error, and
    sections of the runbook as links.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text.partition("\n")[0])
        self.text = _PATH.sub(lambda path: link(path[1], absolute=True), text)

    @property
    def section(self) -> str:
        """The section of the runbook that the error names; empty where it names none."""
        named = _SECTION.search(self.text)
        return named[1] if named else ""


class MendFirst(StepFailed):
    """Its input or a parameter is wrong; trying again cannot help before that is mended."""


_SECTION = re.compile(r"docs/runbook\.md#([\w-]+)")
_PATH = re.compile(rf"(?<![\w/]){_SECTION.pattern}")  # which is no link yet
_HELD = 20  # lines, at most, that an error has

# The step says by its exit code which of the two it was (jobs/core/errors.py).
FINAL = (DataError.exit_code, ConfigError.exit_code)
RETRY_POLICY = ExceptionRetryPolicy(
    [RetryRule(MendFirst, RetryAction.FAIL, reason="the input or a parameter must be mended first")]
)


class CommandOperator(BaseOperator):
    """A command of `nightshift` as a process that dies with its task."""

    _process: subprocess.Popen[str] | None = None

    def command(self, run: str, words: Sequence[str], unsaid: Sequence[str] = ()) -> None:
        """Run `nightshift` with these words, and others that the log need not say; its output is the task's log.

        Raises StepFailed or MendFirst, which name `run` where the command had no words of its own. The error with which
        the command ends is logged once, last, at the level ERROR.
        """
        self.log.info("%s", shlex.join(["nightshift", *words]))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "jobs", *words, *unsaid],
            cwd=PROJECT,
            env=environment(os.environ),
            text=True,
            errors="replace",
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert self._process.stdout is not None
        tail, held = self._follow(self._process.stdout)
        if code := self._process.wait():
            with spoken(self.log):
                raise failure(run, code, tail)
        self._pass_on(held)

    def _follow(self, output: Iterable[str]) -> tuple[deque[str], list[str]]:
        """(the last lines, those of them that are not logged yet: an error that may be the last)"""
        tail: deque[str] = deque(maxlen=50)
        held: list[str] = []
        for line in output:
            text = printable(mask(line.rstrip()))  # native code writes past the step's own masking
            tail.append(text)
            if text.startswith("error:") or len(held) > _HELD:
                self._pass_on(held)
                held = []
            if held or text.startswith("error:"):
                held.append(text)
            else:
                self._pass_on([text])
        return tail, held

    def _pass_on(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.log.info("%s", line)

    def on_kill(self) -> None:
        """End the process and what it started; a step may be killed at any instant."""
        if self._process:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)


class StepOperator(CommandOperator):
    """Run one step of a pipeline for the day of the run; skipped where the form asks for ingest alone."""

    ui_color = "#e8f0fe"

    def __init__(self, *, pipeline: str, step: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pipeline, self.step = pipeline, step

    def execute(self, context: Context) -> dict[str, Any]:
        """The name of the manifest and the rows of each output. Raises StepFailed or MendFirst."""
        day = begin(self.pipeline, self.step, context)
        with tempfile.TemporaryDirectory(prefix="nightshift-") as scratch:
            receipt = Path(scratch) / "receipt.json"
            self._run(day, receipt, *self.options(context))
            left = _headline(json.loads(receipt.read_text()))
        emit(self.pipeline, self.step, context, left)
        return left

    def options(self, context: Context) -> tuple[str, ...]:
        """What the command gets besides the pipeline and the day."""
        return forced(self.step, context)

    def _run(self, day: date, receipt: Path, *options: str) -> None:
        words = [*arguments(self.pipeline, self.step, day), *options]
        self.command(
            f"{self.pipeline}/{self.step} {day}", words, unsaid=("--receipt", str(receipt))
        )


def begin(pipeline: str, step: str, context: Context) -> date:
    """The day of the run, of which the pipeline's first step leaves a note; skips what the form does not ask for."""
    day = day_of(context)
    if context["params"].get("steps") == "ingest" and step not in INGEST:
        raise AirflowSkipException("this run was asked to ingest only")
    if step == NIGHTLY[0]:
        context["asset_state_store"][nights(pipeline)].set(str(day), context["dag_run"].run_id)
    return day


def forced(step: str, context: Context) -> tuple[str, ...]:
    """`--force` for extract, where a day far from all data was not mistyped: the schedule chose it, or `force` is set."""
    if step != NIGHTLY[0]:
        return ()
    sure = context["dag_run"].run_type == DagRunType.SCHEDULED or context["params"].get("force")
    return ("--force",) if sure else ()


def arguments(pipeline: str, step: str, day: date) -> list[str]:
    """What follows `nightshift` on the command line of a step, in a process and in a pod."""
    return [step, "--pipeline", pipeline, "--date", str(day)]


def left_by(pipeline: str, step: str, day: date, attempt: str) -> tuple[dict[str, Any] | None, str]:
    """(what execute returns, "") where the attempt left a manifest that still holds; else (None, what is wrong).

    Raises StepFailed when the lake cannot be asked.
    """
    with tempfile.TemporaryDirectory(prefix="nightshift-") as scratch:
        receipt = Path(scratch) / "receipt.json"
        words = [
            "manifest",
            *arguments(pipeline, step, day),
            "--attempt",
            attempt,
            "--receipt",
            str(receipt),
        ]
        ended = _answer(words)
        if not ended.returncode:
            return _headline(json.loads(receipt.read_text())), ""
    error = failure(f"{pipeline}/{step} {day}", ended.returncode, deque(ended.stderr.splitlines()))
    if ended.returncode == DataError.exit_code:
        return None, error.text
    raise error


def asked(run: str, *words: str, limit_s: float | None = None) -> Any:
    """The JSON that a command of `nightshift` prints. Raises as `call` does."""
    return json.loads(call(run, *words, limit_s=limit_s))


def call(run: str, *words: str, limit_s: float | None = None) -> str:
    """What a command of `nightshift` prints. Raises StepFailed or MendFirst as CommandOperator does, and
    subprocess.TimeoutExpired after `limit_s`.
    """
    ended = _answer(words, limit_s)
    if ended.returncode:
        raise failure(run, ended.returncode, deque(ended.stderr.splitlines()))
    return ended.stdout


@contextmanager
def spoken(log: Logger) -> Iterator[None]:
    """Log a StepFailed that is raised in the body, with all its parts, as one line at the level ERROR."""
    try:
        yield
    except StepFailed as failed:
        log.error("%s", failed.text)
        raise


def environment(known: Mapping[str, str]) -> dict[str, str]:
    """What a step's process gets: all but Airflow's own settings and secrets, and whose death ends it."""
    outside = restored(known)
    mine = {
        name: value
        for name, value in outside.items()
        if not name.startswith(("AIRFLOW", "_AIRFLOW"))
    }
    mine = {
        name: value for name, value in mine.items() if not name.startswith("NIGHTSHIFT_AIRFLOW")
    }
    return mine | {"NIGHTSHIFT_PARENT": str(os.getpid()), "PYTHONUNBUFFERED": "1"}


def failure(run: str, code: int, tail: deque[str]) -> StepFailed:
    """The exception for an exit code, with the step's own words: its last `error:` and what follows."""
    lines = [printable(line.rstrip()) for line in tail]
    said = max((n for n, line in enumerate(lines) if line.startswith("error:")), default=None)
    if said is not None:
        text = "\n".join(lines[said:]).removeprefix("error: ")
    elif code in (-signal.SIGKILL, 128 + signal.SIGKILL):
        text = (
            f"{run}: killed; if nobody did, the machine was out of memory\n"
            "  Next: nothing, it is tried again. If it failed for good, clear it\n"
            "  Runbook: docs/runbook.md#a-task-was-killed-or-ran-out-of-memory"
        )
    elif code < 0:
        text = f"{run}: ended by {signal.Signals(-code).name} in native code; run it again, and report it if it repeats"
    else:
        text = "\n".join([f"{run}: ended with exit code {code}", *lines[-3:]])
        if code == ConfigError.exit_code:
            text += "\n  Runbook: docs/runbook.md#a-setting-is-wrong"
    return (MendFirst if code in FINAL else StepFailed)(mask(text))


def nights(pipeline: str) -> Asset:
    """Where the runs of a pipeline leave, by day, which run it is: a run of D looks for that of D-1."""
    return Asset(
        name=f"{pipeline}.nights", uri=f"nightshift://{pipeline}/nights", group="nightshift"
    )


def step_task(
    pipeline: str, step: str, operator: type[StepOperator] = StepOperator, **overrides: Any
) -> BaseOperator:
    """The task of a step, called like it: a process of the worker; a pod where the runner is kubernetes and params
    give the step a size.
    """
    row = STEPS[step]
    settings: dict[str, Any] = {
        "task_id": step,
        "pool": row.pool,
        "execution_timeout": row.timeout,
        "retry_policy": RETRY_POLICY,
        "inlets": [nights(pipeline)] if step == NIGHTLY[0] else [],
        "outlets": outlets(pipeline, step),
        "doc_md": step_doc(pipeline, step),
    }
    settings |= overrides
    chosen = load()
    size = pods.size(chosen.params_file, pipeline, step) if chosen.runner == "kubernetes" else None
    if size is None or operator is not StepOperator:
        return operator(pipeline=pipeline, step=step, **settings)
    from nightshift.pods import PodStepOperator  # seconds, which who runs no pods need not spend

    known = pods.kubernetes(chosen.params_file)
    return PodStepOperator(pipeline=pipeline, step=step, size=size, known=known, **settings)


def _answer(words: Sequence[str], limit_s: float | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "jobs", *words],
        cwd=PROJECT,
        env=environment(os.environ),
        text=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=limit_s,
    )


def _headline(receipt: dict[str, Any]) -> dict[str, Any]:
    """What goes into XCom: the manifest's name, rows of each output, the model's digest, what was decided."""
    return {
        "manifest": f"{receipt['step']}/{receipt['date']}",
        "rows": {name: rows for name, rows, _ in receipt["outputs"]},
        "model": receipt["model_digest"],
        **receipt["decided"],
    }
