"""The frame of every step: it takes the lock, runs the step's module, and writes the manifest."""

from __future__ import annotations

import importlib
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Literal, Protocol, TypeVar, cast

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


class StepModule(Protocol):
    """What a module of jobs/steps provides."""

    def run(self, step: Step) -> None: ...


@dataclass
class Step:
    """A run in progress: what it can use, and what it records for the manifest."""

    run: Run
    settings: Settings
    lake: Lake
    section: Section
    options: Mapping[str, object] = field(default_factory=dict)
    lock: locks.Lock | None = None
    inputs: list[Dataset] = field(default_factory=list)
    outputs: list[Dataset] = field(default_factory=list)
    reads: dict[str, str] = field(default_factory=dict)
    missing_days: list[date] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    facts: Facts | None = None
    model_digest: str | None = None
    started: datetime = field(default_factory=utc_now)
    _since: float = field(default_factory=time.monotonic)

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

    def at(self, point: Point) -> None:
        """Mark the start of a phase. Tests kill the process here (failpoint `<step>.<point>`)."""
        failpoint(f"{self.run.step}.{point}")
        now = time.monotonic()
        self.log.debug(point, seconds=round(now - self._since, 2))
        if point == "swap" and self.lock:
            self.lock.recheck()

    def params(self, model: type[P]) -> P:
        """The step's own section, as the model that validated it."""
        assert isinstance(self.section, model)
        return self.section

    def section_of(self, step: str) -> Section:
        """The section of another step; the table of steps names the sections that a step reads."""
        assert step in STEPS[self.run.step].other_sections, step
        model = find_usecase(self.run.pipeline).params[step]
        return params.section(self.settings.params_file, self.run.pipeline, step, model)

    def check(self, checks: Sequence[Check], remedy: str, input: str = "") -> None:
        """Record the checks; raises DataError if one of severity `fail` did not pass."""
        self.checks.extend(checks)
        for check in checks:
            if not check.passed:
                self.log.warning(str(check))
        enforce(checks, remedy, input)

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
        self.reads |= {manifest.name: manifest.content for manifest in present}
        return present

    def wait_for_day_before(self) -> None:
        """Wait until no run of D-1 is in progress (holds its run lock), within the lock limit."""
        day = self.run.date - timedelta(days=1)
        name = run_lock(self.run.pipeline, day)
        if locks.holder(self.settings.postgres, name):
            self.log.info("waiting for the day before", day=day)
            with locks.hold(self.settings.postgres, name, f"{self.run} (waiting)"):
                pass

    def finish(self) -> Manifest:
        """The manifest, committed unless this is a dry run (option `dry_run`)."""
        self.at("manifest")
        facts = self.facts.to_json() if self.facts else {}
        manifest = Manifest(
            pipeline=self.run.pipeline,
            step=self.run.step,
            date=self.run.date,
            attempt=self.run.attempt,
            inputs=self.inputs,
            outputs=self.outputs,
            reads=self.reads,
            missing_days=self.missing_days,
            params_digest=self.section.digest,
            code_version=code_version(),
            model_digest=self.model_digest,
            checks=[check.as_row() for check in self.checks],
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
    """Run one step: lock, the module's `run`, manifest. Errors name the step and the date."""
    whole(run.date)
    step_module = module(run.step)
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
            step = Step(run, settings, lake, section, options, lock)
            step.at("lock")
            step_module.run(step)
            return step.finish()
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


def module(step: str) -> StepModule:
    return cast(StepModule, importlib.import_module(f"jobs.steps.{step}"))


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
