"""`nightshift run`: run the steps of a night in pipeline order, each in its own process."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import psutil
import typer

from jobs.cli.show import Screen
from jobs.cli.steps import PARENT, Force
from jobs.core import locks, params, settings
from jobs.core.errors import ConfigError
from jobs.core.facts import RetrainFacts
from jobs.core.identity import whole
from jobs.core.manifest import manifest_name
from jobs.core.pipelines import PIPELINE_HELP
from jobs.core.settings import Settings
from jobs.core.steps import INGEST, NIGHTLY, TRAINING
from jobs.core.text import choice
from jobs.steps import sections
from jobs.steps.far import refuse_far
from jobs.steps.frame import run_lock
from jobs.stores import source as operational
from jobs.stores.lake import Lake
from jobs.usecases.discovery import find_usecase


@dataclass(frozen=True)
class ProcessExit:
    """How a process ended: seconds, peak resident memory with children in MiB, exit code."""

    step: str
    seconds: float
    peak_mib: float
    code: int


def run(
    pipeline: Annotated[str, typer.Argument(help=PIPELINE_HELP)],
    date: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="The UTC day D.")],
    from_: Annotated[
        str | None, typer.Option("--from", help="First step to run. Default: extract.")
    ] = None,
    to: Annotated[str | None, typer.Option(help="Last step to run. Default: verify.")] = None,
    ingest_first: Annotated[
        bool,
        typer.Option(
            "--catch-up/--no-catch-up",
            help="First ingest the missing days of the look-back window.",
        ),
    ] = True,
    force: Force = False,
) -> None:
    """Run a night: every step for one day, or the steps from --from to --to.

    After a failed training, the day's tables are still published with the current champion, and the
    command fails at the end.

    Example: nightshift run fraud --date 2018-07-10 --from train
    """
    screen, config = Screen(stderr=True), settings.load()
    steps = between(NIGHTLY, from_, to)
    whole(date.date())
    sections.check(config.params_file, pipeline)
    if not force:
        _refuse_far(config, pipeline, date.date())
    with locks.hold(
        config.postgres, run_lock(pipeline, date.date()), f"nightshift run {pipeline} {date.date()}"
    ):
        outcomes = night(screen, config, pipeline, date.date(), steps, ingest_first)
    screen.table(("step", "seconds", "peak MiB", ""), _table(outcomes))
    if failed := [outcome.step for outcome in outcomes if outcome.code]:
        published = any(outcome.step == "publish" and not outcome.code for outcome in outcomes)
        what = (
            "The day was published with the current champion."
            if published
            else "Nothing new was published."
        )
        screen.say(f"{', '.join(failed)} failed. {what}", "red")
        screen.say(f"Log: {log_file(config, pipeline, date.date())}")
        raise typer.Exit(next(outcome.code for outcome in outcomes if outcome.code))


def _refuse_far(config: Settings, pipeline: str, day: date) -> None:
    """Refuse a day far from all data, before catching up; extract, which checks too, is later."""
    section = params.section(config.params_file, pipeline, "extract", params.ExtractParams)
    with operational.connect_source(config.source) as session:
        refuse_far(session, Lake(config.lake), pipeline, day, section.max_gap_days)


def between(steps: Sequence[str], first: str | None, last: str | None) -> list[str]:
    """Return the steps from `first` to `last`, both included; None means an end of the list."""
    for name in (first, last):
        if name is not None and name not in steps:
            raise ConfigError("a night has no such step", input=name, remedy=choice(name, steps))
    return list(steps[steps.index(first) if first else 0 : steps.index(last) + 1 if last else None])


def night(
    screen: Screen,
    config: Settings,
    pipeline: str,
    day: date,
    steps: Sequence[str],
    ingest_first: bool,
) -> list[ProcessExit]:
    """Run `steps` for `day`; return the outcomes, including those of the catch-up.

    A failure stops the night; in training, it only skips the rest of the training.
    """
    outcomes = catch_up(screen, config, pipeline, day) if ingest_first else []
    if any(outcome.code for outcome in outcomes):
        return outcomes
    trains = True
    for step in steps:
        if step in TRAINING and not trains:
            continue
        outcomes.append(_step(screen, config, pipeline, step, [day], day))
        failed = outcomes[-1].code != 0
        if failed and step not in TRAINING:
            break
        if failed and step != "check_drift":  # after a failed drift check, retrain trains
            trains = False
        elif step == "retrain":
            trains = _trains(config, pipeline, day)
    return outcomes


def _trains(config: Settings, pipeline: str, day: date) -> bool:
    """Whether retrain decided to train."""
    retrain = Lake(config.lake).manifest(manifest_name(pipeline, "retrain", day))
    return retrain is None or RetrainFacts.of(retrain).decision == "train"


def catch_up(screen: Screen, config: Settings, pipeline: str, day: date) -> list[ProcessExit]:
    """Ingest the missing days of D's look-back window, in one process per step."""
    outcomes: list[ProcessExit] = []
    if missing := missing_days(config, pipeline, day):
        screen.say(f"catching up {len(missing)} days from {missing[0]} to {missing[-1]}")
        for step in INGEST:
            outcomes.append(_step(screen, config, pipeline, step, missing, day))
            if outcomes[-1].code:
                break
    return outcomes


def missing_days(config: Settings, pipeline: str, day: date) -> list[date]:
    """Return the days of D's look-back window before D that are not ingested, oldest first."""
    first, lake = params.first_date(config.params_file, pipeline), Lake(config.lake)
    usecase = find_usecase(pipeline)
    windows = (
        usecase.features.training.days(
            day,
            params.section(config.params_file, pipeline, "snapshot", usecase.params["snapshot"]),
        ),
        usecase.features.scoring.days(
            day, params.section(config.params_file, pipeline, "predict", usecase.params["predict"])
        ),
    )
    earlier = {
        past
        for window in windows
        for days in window.values()
        for past in days
        if first <= past < day
    }
    return [past for past in sorted(earlier) if not _ingested(lake, pipeline, past)]


def _ingested(lake: Lake, pipeline: str, day: date) -> bool:
    done = [lake.manifest(manifest_name(pipeline, step, day)) for step in INGEST]
    return all(manifest and not manifest.premature for manifest in done)


def log_file(config: Settings, pipeline: str, day: date) -> Path:
    return config.home / "logs" / "runs" / f"{pipeline}-{day}.log"


def _step(
    screen: Screen, config: Settings, pipeline: str, step: str, days: Sequence[date], night_of: date
) -> ProcessExit:
    words = [argument for day in days for argument in ("--date", str(day))]
    if step == INGEST[0]:
        words.append("--force")  # `run` has checked the day, and its look-back follows from it
    log = log_file(config, pipeline, night_of)
    log.parent.mkdir(parents=True, exist_ok=True)
    label = f"{step} ({len(days)} days)" if len(days) > 1 else step
    with log.open("ab") as sink, screen.status(f"{pipeline} {night_of}: {label}"):
        start, end = time.monotonic(), sink.tell()
        process = subprocess.Popen(
            [sys.executable, "-m", "jobs", step, "--pipeline", pipeline, *words],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            env=os.environ | {PARENT: str(os.getpid())},
        )
        peak = _watch(process)
        outcome = ProcessExit(label, time.monotonic() - start, peak, process.returncode)
    if outcome.code:
        with log.open("rb") as source:
            source.seek(end)
            screen.say(source.read().decode(errors="replace")[-4000:])
    screen.say(f"  {'failed' if outcome.code else 'done  '} {label} {outcome.seconds:.1f} s")
    return outcome


def _watch(process: subprocess.Popen[bytes]) -> float:
    """Wait for the process; return the sampled peak resident memory of its process tree in MiB."""
    peak, over = 0.0, threading.Event()

    def sample() -> None:
        nonlocal peak
        while not over.wait(0.2):
            with suppress(psutil.Error):
                root = psutil.Process(process.pid)
                used = sum(
                    member.memory_info().rss for member in [root, *root.children(recursive=True)]
                )
                peak = max(peak, used / 2**20)

    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    try:
        process.wait()
    finally:
        over.set()
        sampler.join()
        process.kill()
    return peak


def _table(outcomes: Sequence[ProcessExit]) -> list[tuple[str, str, str, str]]:
    rows = [
        (
            outcome.step,
            f"{outcome.seconds:.1f}",
            f"{outcome.peak_mib:.0f}",
            "failed" if outcome.code else "",
        )
        for outcome in outcomes
    ]
    return [*rows, ("total", f"{sum(outcome.seconds for outcome in outcomes):.1f}", "", "")]
