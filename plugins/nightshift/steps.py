"""A step as a task: a process that runs `python -m jobs STEP --pipeline P --date D`, or a pod.

The process dies with its task. It keeps Spark, XGBoost and the stores' clients out of Airflow, and
it runs the same command as a shell, DVC and a pod. Its output is the task's log; its XCom has the
name of its manifest and the rows that it wrote.
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

from jobs.core.errors import ConfigError, DataError
from jobs.core.masking import mask
from jobs.core.pg_variables import restored
from jobs.core.receipt import TaskReceipt
from jobs.core.settings import PROJECT
from jobs.core.steps import INGEST, NIGHTLY
from jobs.core.text import printable
from nightshift.dates import day_of
from nightshift.docs import link
from nightshift.events import StepResult, emit

if TYPE_CHECKING:
    from airflow.sdk import Context


class Logger(Protocol):
    """The logger of an operator."""

    def error(self, event: str, *args: object) -> object: ...


class StepFailed(AirflowException):
    """The step's process failed, and a retry may help: a store was down, or the process was killed.

    `text` has all parts of the error, with links to sections of the runbook. `str()` is the first
    line only, because Airflow folds exceptions away in the log.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text.partition("\n")[0])
        self.text = _PATH.sub(lambda path: link(path[1], absolute=True), text)

    @property
    def section(self) -> str:
        """The section of the runbook that the error names; empty if it names none."""
        match = _SECTION.search(self.text)
        return match[1] if match else ""


class PermanentFailure(StepFailed):
    """The step's input or a parameter is wrong: a retry cannot help until somebody corrects it."""


_SECTION = re.compile(r"docs/runbook\.md#([\w-]+)")
_PATH = re.compile(rf"(?<![\w/]){_SECTION.pattern}")  # a section that is not yet a link
_MAX_ERROR_LINES = 20

# Exit codes of errors that a retry cannot help (jobs/core/errors.py).
PERMANENT = (DataError.exit_code, ConfigError.exit_code)
RETRY_POLICY = ExceptionRetryPolicy(
    [
        RetryRule(
            PermanentFailure,
            RetryAction.FAIL,
            reason="the input or a parameter must be corrected first",
        )
    ]
)


class CommandOperator(BaseOperator):
    """A command of `nightshift` as a process that dies with its task."""

    _process: subprocess.Popen[str] | None = None

    def command(self, run: str, words: Sequence[str], unlogged: Sequence[str] = ()) -> None:
        """Run `nightshift` with these words; its output becomes the task's log.

        `unlogged` are further words that the log does not show. Raises StepFailed or
        PermanentFailure, which name `run` if the command printed no error. The command's last error
        is logged once, at the end, at level ERROR.
        """
        self.log.info("%s", shlex.join(["nightshift", *words]))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "jobs", *words, *unlogged],
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
            with logged_failure(self.log):
                raise failure(run, code, tail)
        self._pass_on(held)

    def _follow(self, output: Iterable[str]) -> tuple[deque[str], list[str]]:
        """Log the output. Returns the last lines, and those of them that are not logged yet.

        An error that may be the last one is held back, so that it is logged once, as an error.
        """
        tail: deque[str] = deque(maxlen=50)
        held: list[str] = []
        for line in output:
            text = printable(mask(line.rstrip()))  # native code bypasses the step's own masking
            tail.append(text)
            if text.startswith("error:") or len(held) > _MAX_ERROR_LINES:
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
        """Kill the process and its children; a step tolerates a kill at any point."""
        if self._process:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)


class StepOperator(CommandOperator):
    """Run one step for the day of the run; skipped if the form asks for ingest only."""

    ui_color = "#e8f0fe"

    def __init__(self, *, pipeline: str, step: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pipeline, self.step = pipeline, step

    def execute(self, context: Context) -> StepResult:
        """Returns the name of the manifest and the rows of each output.

        Raises StepFailed or PermanentFailure.
        """
        day = start(self.pipeline, self.step, context)
        with tempfile.TemporaryDirectory(prefix="nightshift-") as scratch:
            receipt = Path(scratch) / "receipt.json"
            self._run(day, receipt, *self.options(context))
            result = _headline(json.loads(receipt.read_text()))
        emit(self.pipeline, self.step, context, result)
        return result

    def options(self, context: Context) -> tuple[str, ...]:
        """Options of the command besides the pipeline and the day."""
        return force_option(self.step, context)

    def _run(self, day: date, receipt: Path, *options: str) -> None:
        words = [*arguments(self.pipeline, self.step, day), *options]
        self.command(
            f"{self.pipeline}/{self.step} {day}", words, unlogged=("--receipt", str(receipt))
        )


def start(pipeline: str, step: str, context: Context) -> date:
    """The day of the run.

    The pipeline's first step records which run works on the day, for the waits of the next day.
    Raises AirflowSkipException for a step that the form does not ask for.
    """
    day = day_of(context)
    if context["params"].get("steps") == "ingest" and step not in INGEST:
        raise AirflowSkipException("this run ingests only")
    if step == NIGHTLY[0]:
        context["asset_state_store"][nights(pipeline)].set(str(day), context["dag_run"].run_id)
    return day


def force_option(step: str, context: Context) -> tuple[str, ...]:
    """`--force` for extract if the date is no typing error: scheduled, or forced in the form."""
    if step != NIGHTLY[0]:
        return ()
    sure = context["dag_run"].run_type == DagRunType.SCHEDULED or context["params"].get("force")
    return ("--force",) if sure else ()


def arguments(pipeline: str, step: str, day: date) -> list[str]:
    """The arguments of `nightshift` for a step, in a process and in a pod."""
    return [step, "--pipeline", pipeline, "--date", str(day)]


def result_of(pipeline: str, step: str, day: date, attempt: str) -> tuple[StepResult | None, str]:
    """(the result, "") if the attempt wrote the manifest of the day; else (None, the reason).

    Raises StepFailed if the lake does not answer.
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


def call_json(run: str, *words: str, limit_s: float | None = None) -> Any:
    """The JSON that a command of `nightshift` prints. Raises like `call`."""
    return json.loads(call(run, *words, limit_s=limit_s))


def call(run: str, *words: str, limit_s: float | None = None) -> str:
    """The output of a command of `nightshift`.

    Raises StepFailed or PermanentFailure, and subprocess.TimeoutExpired after `limit_s`.
    """
    ended = _answer(words, limit_s)
    if ended.returncode:
        raise failure(run, ended.returncode, deque(ended.stderr.splitlines()))
    return ended.stdout


@contextmanager
def logged_failure(log: Logger) -> Iterator[None]:
    """Log a StepFailed that the body raises, with all its parts, as one line at level ERROR."""
    try:
        yield
    except StepFailed as failed:
        log.error("%s", failed.text)
        raise


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """The environment of a step's process: without Airflow's own settings and secrets, and with the
    id of the process with which it dies.
    """
    airflows = ("AIRFLOW", "_AIRFLOW", "NIGHTSHIFT_AIRFLOW")
    passed = {k: v for k, v in restored(variables).items() if not k.startswith(airflows)}
    return passed | {"NIGHTSHIFT_PARENT": str(os.getpid()), "PYTHONUNBUFFERED": "1"}


def failure(run: str, code: int, tail: deque[str]) -> StepFailed:
    """The exception for an exit code; its text is the step's last `error:` and what follows."""
    lines = [printable(line.rstrip()) for line in tail]
    error = max((n for n, line in enumerate(lines) if line.startswith("error:")), default=None)
    if error is not None:
        text = "\n".join(lines[error:]).removeprefix("error: ")
    elif code in (-signal.SIGKILL, 128 + signal.SIGKILL):
        text = (
            f"{run}: the process was killed. If nobody killed it, the machine ran out of memory\n"
            "  Next: wait for the retry. If the task has failed for good, clear it\n"
            "  Runbook: docs/runbook.md#a-task-was-killed-or-ran-out-of-memory"
        )
    elif code < 0:
        text = (
            f"{run}: a library crashed the process with {signal.Signals(-code).name}\n"
            "  Next: clear the task. If it happens again, report it"
        )
    else:
        text = "\n".join([f"{run}: ended with exit code {code}", *lines[-3:]])
        if code == ConfigError.exit_code:
            text += "\n  Runbook: docs/runbook.md#a-setting-is-wrong"
    return (PermanentFailure if code in PERMANENT else StepFailed)(mask(text))


def nights(pipeline: str) -> Asset:
    """The asset that maps a day to its run, so that a run of D can find the run of D-1."""
    return Asset(
        name=f"{pipeline}.nights", uri=f"nightshift://{pipeline}/nights", group="nightshift"
    )


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


def _headline(receipt: TaskReceipt) -> StepResult:
    """The XCom: the manifest's name, the rows of each output, the model's digest, the decisions."""
    return {
        "manifest": f"{receipt['step']}/{receipt['date']}",
        "rows": {name: rows for name, rows, _ in receipt["outputs"]},
        "model": receipt["model_digest"],
        **receipt["decided"],
    }
