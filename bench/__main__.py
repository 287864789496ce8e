"""`make bench`: run every benchmark on the embedded services of a temporary home; one table."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from bench import redis_load, source_load
from jobs.core import settings
from jobs.core.markdown_table import markdown_row, markdown_table
from jobs.local import embedded

ROUNDS = 3
COLUMNS = ("what", "rows", "ours s", "theirs s", "times", "theirs")


def main() -> None:
    with TemporaryDirectory(prefix="nightshift-bench-") as home:
        os.environ["NIGHTSHIFT_HOME"] = home
        config = settings.load()
        embedded.up(config)
        try:
            print(*markdown_table(COLUMNS, (), COLUMNS[1:5]), sep="\n")
            for bench in (source_load, redis_load):
                report(bench.NAME, bench.ROWS, bench.OTHER, *bench.sides(config, Path(home)))
        finally:
            embedded.down(config, purge=True)


def report(
    name: str, rows: int, other: str, ours: Callable[[], None], theirs: Callable[[], None]
) -> None:
    """Run both alternately, ROUNDS times, and print the medians: a slow phase then affects both."""
    seconds = [(clock(ours), clock(theirs)) for _ in range(ROUNDS)]
    mine, its = (median(column) for column in zip(*seconds, strict=True))
    cells = (name, f"{rows:,}", f"{mine:.2f}", f"{its:.2f}", f"{its / mine:.1f}", other)
    print(markdown_row(cells), flush=True)


def clock(function: Callable[[], None]) -> float:
    start = perf_counter()
    function()
    return perf_counter() - start


if __name__ == "__main__":
    main()
