"""The frame of every step: it takes the lock, calls the step's phases, and writes the manifest."""

from __future__ import annotations

import importlib
import os
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Generic, Literal, TypeVar, cast

import pyarrow as pa

import jobs
from jobs.core import failures, locks, params, pods, traces
from jobs.core.checks import Check, enforce
from jobs.core.errors import DataError, NightshiftError
from jobs.core.facts import Facts
from jobs.core.failpoint import failpoint
from jobs.core.identity import Run, whole
from jobs.core.log import Log, logger
from jobs.core.manifest import Dataset, Manifest, manifest_name, utc_now
from jobs.core.params import Section
from jobs.core.settings import PROJECT, Settings
from jobs.core.steps import NIGHTLY, STEPS, Lock
from jobs.steps import sections
from jobs.stores.lake import Lake
from jobs.usecases.discovery import find_usecase

Point = Literal["lock", "window", "read", "compute", "stage", "check", "swap", "manifest"]
POINTS: tuple[Point, ...] = (
    "lock",
    "window",
    "read",
    "compute",
    "stage",
    "check",
    "swap",
    "manifest",
)

P = TypeVar("P", bound=Section)
R = TypeVar("R")
C = TypeVar("C")
T = TypeVar("T")


@dataclass(frozen=True)
class Result:
    """What a step wrote, for its manifest; `checks` besides those that the frame enforced."""

    facts: Facts
    outputs: Sequence[Dataset] = ()
    model_digest: str | None = None
    checks: Sequence[Check] = ()


@dataclass(frozen=True)
class Requirement:
    """Checks that must hold before the swap, what to do if one does not, and the input."""

    checks: Sequence[Check]
    remedy: str
    input: str = ""


@dataclass(frozen=True)
class Staged:
    """What a step has staged: `check` examines it, and `swap` makes it visible."""

    swap: Callable[[], Result]
    check: Callable[[], Iterable[Requirement]] = tuple


@dataclass(frozen=True)
class Phases(Generic[R, C]):
    """The phases of a step, in the order in which the frame calls them.

    `read` reads, `compute` is pure, and `stage` writes what no reader sees. `prepare` is what must
    be done before the step reads; the manifest has its facts too.
    """

    read: Callable[[Step], R]
    compute: Callable[[Step, R], C]
    stage: Callable[[Step, C], Staged]
    prepare: Callable[[Step], Facts | None] = lambda step: None

    def run(self, step: Step) -> Manifest:
        _mark(step, "window")
        prepared = self.prepare(step)
        staged = self.stage(step, self._computed(step))
        _mark(step, "check")
        for requirement in staged.check():
            step.enforce(requirement)
        _mark(step, "swap")
        if step.lock:
            step.lock.recheck()
        result = staged.swap()
        step.stores.close()
        _mark(step, "manifest")
        return step.finish(result, prepared)

    def _computed(self, step: Step) -> C:
        _mark(step, "read")
        inputs = self.read(step)
        _mark(step, "compute")
        computed = self.compute(step, inputs)
        _mark(step, "stage")
        return computed


def unchanged(step: Step, inputs: T) -> T:
    """The phase `compute` of a step that computes nothing."""
    return inputs


@dataclass(frozen=True)
class Step:
    """A run in progress: what it can use, and a record of what it has read and checked."""

    run: Run
    settings: Settings
    lake: Lake
    section: Section
    options: Mapping[str, object] = field(default_factory=dict)
    lock: locks.Lock | None = None
    stores: ExitStack = field(default_factory=ExitStack)
    inputs: list[Dataset] = field(default_factory=list)
    reads: dict[str, str] = field(default_factory=dict)
    missing_days: list[date] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    started: datetime = field(default_factory=utc_now)
    since: float = field(default_factory=time.monotonic)

    @property
    def log(self) -> Log:
        return logger(
            pipeline=self.run.pipeline,
            step=self.run.step,
            date=self.run.date,
            attempt=self.run.attempt,
        )

    @property
    def folder(self) -> str:
        """The lake folder of this run's files."""
        return manifest_name(self.run.pipeline, self.run.step, self.run.date)

    def params(self, model: type[P]) -> P:
        """The step's own section, as the model that validated it."""
        assert isinstance(self.section, model)
        return self.section

    def section_of(self, step: str) -> Section:
        """The section of another step; the table of steps names the sections that a step reads."""
        assert step in STEPS[self.run.step].other_sections, step
        model = find_usecase(self.run.pipeline).params[step]
        return params.section(self.settings.params_file, self.run.pipeline, step, model)

    def enforce(self, requirement: Requirement) -> None:
        """Record the checks; raises DataError if one of severity `fail` did not pass."""
        self.checks.extend(requirement.checks)
        for check in requirement.checks:
            if not check.passed:
                self.log.warning(str(check))
        enforce(requirement.checks, requirement.remedy, requirement.input)

    def open(self, store: AbstractContextManager[T]) -> T:
        """Open a store until the end of the swap."""
        return self.stores.enter_context(store)

    def read_table(self, dataset: Dataset) -> pa.Table:
        """A table of the lake, recorded as an input."""
        self.use(dataset)
        return self.lake.read_table(dataset)

    def use(self, *datasets: Dataset) -> None:
        """Record datasets as inputs, once."""
        self.inputs.extend(dataset for dataset in datasets if dataset not in self.inputs)

    def manifest(self, step: str, day: date | None = None) -> Manifest:
        """The manifest of another step, recorded as read. Raises DataError if there is none."""
        return self.look_back(step, [day or self.run.date])[0]

    def look_back(self, step: str, days: Sequence[date], max_missing: int = 0) -> list[Manifest]:
        """The manifests of a window, oldest first, recorded as read.

        Days before the pipeline's `first_date` do not exist. Later days that are missing are
        recorded, and raise DataError if there are more than `max_missing`. A day that ran before it
        was over counts as missing.
        """
        first = params.first_date(self.settings.params_file, self.run.pipeline)
        names = {day: manifest_name(self.run.pipeline, step, day) for day in days if day >= first}
        manifests = {day: self.lake.manifest(name) for day, name in names.items()}
        early = [day for day, manifest in manifests.items() if manifest and manifest.premature]
        missing = [day for day, manifest in manifests.items() if manifest is None or day in early]
        if len(missing) > max_missing:
            why = f"; {_some(early)} ran before the day was over" if early else ""
            raise DataError(
                f"{step} has not run for {_some(missing)} ({max_missing} missing allowed){why}",
                remedy=f"run these days first: nightshift run {self.run.pipeline} --date DAY --to "
                f"{step}",
                input=names[missing[0]],
                section="a-day-of-the-window-is-missing",
            )
        self.missing_days.extend(missing)
        present = [
            manifest for day, manifest in manifests.items() if manifest and day not in missing
        ]
        self.reads.update({manifest.name: manifest.content for manifest in present})
        return present

    def wait_for_day_before(self) -> None:
        """Wait until no run of D-1 is in progress (holds its run lock), within the lock limit."""
        day = self.run.date - timedelta(days=1)
        name = run_lock(self.run.pipeline, day)
        if locks.holder(self.settings.postgres, name):
            self.log.info("waiting for the day before", day=day)
            with locks.hold(self.settings.postgres, name, f"{self.run} (waiting)"):
                pass

    def finish(self, result: Result, prepared: Facts | None = None) -> Manifest:
        """The manifest, committed unless this is a dry run (option `dry_run`)."""
        facts = (prepared.to_json() if prepared else {}) | result.facts.to_json()
        manifest = Manifest(
            pipeline=self.run.pipeline,
            step=self.run.step,
            date=self.run.date,
            attempt=self.run.attempt,
            inputs=self.inputs,
            outputs=list(result.outputs),
            reads=self.reads,
            missing_days=self.missing_days,
            params_digest=self.section.digest,
            code_version=code_version(),
            model_digest=result.model_digest,
            checks=[check.as_row() for check in (*self.checks, *result.checks)],
            facts=facts,
            decisive=[fact for fact in STEPS[self.run.step].decisive_facts if fact in facts],
            started=self.started,
            ended=utc_now(),
        )
        if not self.options.get("dry_run"):
            self.lake.commit(manifest)
        self.log.info(
            "done",
            **facts,  # type: ignore[arg-type]  # LoggerAdapter types its own keywords only
            seconds=round((manifest.ended - manifest.started).total_seconds(), 1),
        )
        return manifest


def execute(run: Run, settings: Settings, **options: object) -> Manifest:
    """Run one step: lock, phases, manifest. Errors name the step and the date."""
    whole(run.date)
    phases = phases_of(run.step)
    models = find_usecase(run.pipeline).params
    if run.step == NIGHTLY[0]:  # a wrong parameter of a later step stops the night here
        sections.check(settings.params_file, run.pipeline)
    params.check_sections(settings.params_file, run.pipeline, models)
    pods.check(settings.params_file, run.pipeline)
    section = params.section(settings.params_file, run.pipeline, run.step, models[run.step])
    try:
        with _lock(run, settings, STEPS[run.step].lock) as lock:
            lake = Lake(settings.lake)
            lake.require_schema_version()
            with ExitStack() as stores:
                step = Step(run, settings, lake, section, options, lock, stores)
                _mark(step, "lock")
                return phases.run(step)
    except NightshiftError as error:
        _located(error, error if error.__cause__ else None, run, settings)
        raise
    except Exception as error:
        raise _located(failures.explain(error), error, run, settings) from error


def _located(
    error: NightshiftError, cause: Exception | None, run: Run, settings: Settings
) -> NightshiftError:
    """The error with the name of the run. The traceback of its cause goes to a file."""
    error.where = error.where or str(run)
    if cause and not error.trace:
        name = f"{run.pipeline}-{run.step}-{run.date}-{run.attempt}"
        error.trace = traces.write(cause, settings.home / "logs" / "errors", name)
    return error


def _mark(step: Step, point: Point) -> None:
    """Mark the start of a phase. Tests kill the process here (failpoint `<step>.<point>`)."""
    failpoint(f"{step.run.step}.{point}")
    step.log.debug(point, seconds=round(time.monotonic() - step.since, 2))


def phases_of(step: str) -> Phases[object, object]:
    """The phases that the step's module declares as PHASES."""
    return cast(Phases[object, object], importlib.import_module(f"jobs.steps.{step}").PHASES)


def run_lock(pipeline: str, day: date) -> str:
    """The lock that a run of D holds while it is in progress."""
    return f"{pipeline}/run/{day}"


@contextmanager
def _lock(run: Run, settings: Settings, scope: Lock) -> Iterator[locks.Lock | None]:
    if scope is None:
        yield None
        return
    name = run.pipeline if scope == "pipeline" else manifest_name(run.pipeline, run.step, run.date)
    with locks.hold(settings.postgres, name, f"{run} {run.attempt}") as lock:
        yield lock


@cache
def code_version() -> str:
    """`NIGHTSHIFT_CODE_VERSION` (set by images), or the checkout's commit, or the package's
    version.
    """
    return os.environ.get("NIGHTSHIFT_CODE_VERSION") or _commit(PROJECT) or jobs.__version__


def _commit(project: Path) -> str:
    """The commit of the checkout at `project`; empty if it is no checkout, even if a parent folder
    is.
    """
    # Inside a git hook, GIT_* name the repository of the hook.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}

    def git(*words: str) -> str:
        command = ["git", "-C", str(project), *words]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True
        ).stdout.rstrip("\n")

    try:
        if not Path(git("rev-parse", "--show-toplevel")).samefile(project):
            return ""
        return git("describe", "--always", "--dirty", "--abbrev=12")
    except (OSError, subprocess.CalledProcessError):
        return ""


def _some(days: Sequence[date], limit: int = 5) -> str:
    names = ", ".join(map(str, days[:limit]))
    return names if len(days) <= limit else f"{names} and {len(days) - limit} more days"
