"""What every `nightshift source load` shares: its options, and the report of what it did."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from jobs.core import settings

if TYPE_CHECKING:
    from jobs.source.load import Summary
    from jobs.source.request import LabelRule, Reading
    from jobs.source.schema import Table

Files = Annotated[
    list[str],
    typer.Option("--files", help="CSV or parquet files, or a quoted pattern of them. May be repeated."),
]
MoreFiles = Annotated[list[str] | None, typer.Argument(help="More files: what the shell makes of a pattern.")]
Map = Annotated[
    list[str] | None,
    typer.Option(
        "--map", help="table_column=FILE_COLUMN,… A column that is not named comes from its namesake, if any."
    ),
]
Const = Annotated[list[str] | None, typer.Option("--const", help="table_column=VALUE,… for every row.")]
MaxBadFraction = Annotated[
    float,
    typer.Option(min=0, max=1, help="Load nothing when more than this share of the rows cannot be read."),
]
Encoding = Annotated[str, typer.Option(help="Of files of text.")]
Delimiter = Annotated[str, typer.Option(help=r"Of CSV files, one character; \t is the tab.")]
Timezone = Annotated[str, typer.Option(help="Of times that name no zone of their own.")]


class Given(NamedTuple):
    """The options that every load has."""

    columns: list[str] | None
    constants: list[str] | None
    max_bad_fraction: float
    encoding: str
    delimiter: str
    timezone: str


def run_load(
    table: Table,
    files: tuple[str, ...],
    given: Given,
    label: LabelRule | None = None,
    reading: Reading | None = None,
) -> None:
    """Load `files` into `table` as the options say, and tell what happened."""
    from jobs.source.csv_file import CsvFormat
    from jobs.source.load import load
    from jobs.source.mapping import parse_pairs
    from jobs.source.request import Request

    request = Request(
        table=table,
        patterns=files,
        columns=parse_pairs(given.columns or (), "--map"),
        constants=parse_pairs(given.constants or (), "--const"),
        label=label,
        reading=reading,
        csv=CsvFormat(given.encoding, "\t" if given.delimiter == r"\t" else given.delimiter),
        timezone=given.timezone,
        max_bad_fraction=given.max_bad_fraction,
    )
    here = settings.load()
    rejects = here.home / "rejects" / f"{table.name}-{datetime.now(UTC):%Y%m%dT%H%M%S.%f}.csv"
    with progress_bar() as show:
        summary = load(here.source, request, rejects, show)
    _tell(summary)


def _tell(summary: Summary) -> None:
    from jobs.cli.show import echo

    rejected = sum(summary.rejected.values())
    echo(
        f"read {summary.read:,} rows of {summary.files} file{'s' if summary.files > 1 else ''}"
        f" = {summary.loaded:,} loaded + {summary.duplicates:,} duplicates + {rejected:,} rejected"
    )
    labels = "" if summary.labels is None else f", {summary.labels:,} labels new or changed"
    echo(f"written: {summary.written:,} rows new or changed{labels}")
    for reason, count in sorted(summary.rejected.items()):
        echo(f"rejected: {count:,} × {reason}")
    if summary.rejects:
        echo(f"rejected rows: {summary.rejects}")
    for text, count in summary.remarks.items():
        echo(f"note: {count:,} {text}")
    if summary.ignored:
        echo(f"columns not loaded: {', '.join(summary.ignored)}")


@contextmanager
def progress_bar() -> Iterator[Callable[[str, float], None]]:
    """A bar on standard error while it is a terminal: call what it yields with a stage and the share done."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    from jobs.cli.show import Screen

    screen = Screen(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as bar:
        task = bar.add_task("starting", total=1.0)
        yield lambda stage, share: bar.update(task, description=stage, completed=share)
