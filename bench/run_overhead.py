"""The scheduler's overhead: a DAG run against `nightshift run` of the same day, on demo data.

`python -m bench.run_overhead`. Both run the same ten processes; the difference is what Airflow
adds: hops between tasks, the start of the tasks' own processes, and the work of its components. The
goal is a ratio of at most 1.25. The last line shows where the DAG runs spent their time.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from datetime import date, timedelta
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from jobs.cli import demo, night, nights, show
from jobs.core import params, settings
from jobs.core.settings import Settings
from jobs.local import embedded
from jobs.local.scheduler import Scheduler
from jobs.usecases.discovery import find_usecase

ROUNDS = 3
PIPELINE, DAG = "fraud", "fraud_scores"


def main() -> None:
    with TemporaryDirectory(prefix="nightshift-bench-") as home:
        os.environ["NIGHTSHIFT_HOME"] = home
        config = settings.load()
        try:
            embedded.up(config, scheduler=True)
            compare(config)
        finally:
            embedded.down(config, purge=True)


def compare(config: Settings) -> None:
    """Print a line per round and the medians.

    Before the first, both prepare and run the day once.
    """
    first = params.first_date(config.params_file, PIPELINE)
    day = first + timedelta(days=find_usecase("fraud").demo.days - 1)
    demo.fill(config, PIPELINE, None)
    night.catch_up(show.Screen(stderr=True), config, PIPELINE, day)
    rounds = []
    with demo.scheduler(config) as api:
        nights.await_dag(api, DAG)
        for number in range(ROUNDS + 1):
            seconds, steps = scheduled(api, day), chained(day)
            if (
                number
            ):  # the first round is a warm-up: its night writes what later nights only check
                rounds.append((*seconds, steps))
                print(
                    f"DAG run {seconds[0]:6.1f} s   nightshift run {steps:6.1f} s   "
                    f"ratio {seconds[0] / steps:.2f}",
                    flush=True,
                )
    run, inside, hops, alone = (median(column) for column in zip(*rounds, strict=True))
    print(f"median  {run:6.1f} s                  {alone:6.1f} s   ratio {run / alone:.2f}")
    print(
        f"of the DAG run: {inside:.1f} s inside tasks, {hops:.1f} s between them; "
        f"tasks - steps alone: {inside - alone:+.1f} s"
    )


def scheduled(api: Scheduler, day: date) -> tuple[float, float, float]:
    """Return the seconds of a DAG run: in total, inside its tasks, and outside of them."""
    start = perf_counter()
    run = api.trigger(DAG, day)
    state = api.wait(DAG, run, 1800)
    whole = perf_counter() - start
    assert state == "success", f"the run of {day} ended {state}"
    inside = 0.0
    for task in api.tasks(DAG, run).values():
        with suppress(TypeError):
            inside += (task.end - task.start).total_seconds()  # type: ignore[operator]
    return whole, inside, whole - inside


def chained(day: date) -> float:
    """Return the seconds of `nightshift run`."""
    start = perf_counter()
    subprocess.run(
        [sys.executable, "-m", "jobs", "run", PIPELINE, "--date", str(day)],
        check=True,
        capture_output=True,
    )
    return perf_counter() - start


if __name__ == "__main__":
    main()
