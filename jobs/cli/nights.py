"""Start scheduled nights and follow them from a shell."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, NamedTuple

from jobs.local.scheduler import OVER, Scheduler, Task

if TYPE_CHECKING:
    from jobs.cli.show import Screen

_WAITING = (None, "scheduled", "queued", "up_for_reschedule")


class Night(NamedTuple):
    """The night of one pipeline and day."""

    pipeline: str
    dag: str
    day: date

    def __str__(self) -> str:
        return f"{self.pipeline:6} {self.day}"


def start(api: Scheduler, dag: str, day: date) -> str:
    """Return the id of a run of the day: a running one, a cleared failed one, or a new one."""
    for run in reversed(api.runs(dag, day)):
        state = api.state(dag, run)
        if state == "failed":
            api.clear_run(dag, run, only_failed=True)
        if state != "success":
            return run
    return api.trigger(dag, day)


def follow(screen: Screen, api: Scheduler, runs: Mapping[Night, str]) -> dict[Night, str]:
    """Show the runs until all have ended; return the final state of each.

    A terminal shows a bar per run; other outputs get a line per task that ended.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[doing]}", markup=False),
    )
    states = dict.fromkeys(runs, "queued")
    reported: dict[Night, set[str]] = {night: set() for night in runs}
    with Progress(*columns, console=screen, disable=not screen.is_terminal) as progress:
        bars = {night: progress.add_task(str(night), total=None, doing="") for night in runs}
        while any(state not in OVER for state in states.values()):
            for night, run in runs.items():
                if states[night] in OVER:
                    continue
                states[night], tasks = (
                    api.state(night.dag, run),
                    list(api.tasks(night.dag, run).values()),
                )
                ended = [task for task in tasks if task.end and task.state not in _WAITING]
                progress.update(
                    bars[night], total=len(tasks), completed=len(ended), doing=_doing(tasks)
                )
                if not screen.is_terminal:
                    _say(
                        screen, night, [task for task in ended if task.name not in reported[night]]
                    )
                reported[night] |= {task.name for task in ended}
                if states[night] in OVER:
                    progress.stop_task(bars[night])
            time.sleep(2)
    return states


def await_dag(api: Scheduler, dag: str, limit_s: float = 120) -> None:
    """Wait until the DAG is parsed, or the limit is over; then the next call raises."""
    deadline = time.monotonic() + limit_s
    while not api.knows(dag) and time.monotonic() < deadline:
        time.sleep(0.5)


def _doing(tasks: Sequence[Task]) -> str:
    """Return the running tasks with their seconds, or the failed ones."""
    now = datetime.now(UTC)
    if failed := [task.name for task in tasks if task.state == "failed"]:
        return f"{', '.join(failed)} failed"
    running = [
        f"{task.name} {(now - task.start).seconds} s"
        for task in tasks
        if task.state == "running" and task.start
    ]
    waits = any(task.state == "up_for_reschedule" for task in tasks)
    return ", ".join(running) or ("waits for the day before" if waits else "")


def _say(screen: Screen, night: Night, ended: Sequence[Task]) -> None:
    for task in sorted(ended, key=lambda task: task.end or datetime.max.replace(tzinfo=UTC)):
        seconds = ""
        with suppress(TypeError):
            seconds = f"{(task.end - task.start).total_seconds():.1f} s"  # type: ignore[operator]
        screen.say(f"  {night} {task.name:15} {task.state:15} {seconds}".rstrip())
