"""What the commands of `nightshift source` share: options, progress and report."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_type_hints

import typer

from jobs.core import settings
from jobs.source import MAX_BAD_FRACTION
from jobs.source.dialect import TimeUnit

if TYPE_CHECKING:
    from jobs.source.load import Summary
    from jobs.source.request import Reading
    from jobs.source.schema import OperationalTable
    from jobs.source.simulation import Rows, Simulation, Total

_TEXT, _VALUES, _ROWS = "Files of text", "Values", "Columns and rows"
_DATES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]


@dataclass(frozen=True)
class LoadOptions:
    """The options of every load command; the fields are in the order of --help."""

    files: Annotated[
        list[str],
        typer.Option("--files", help="CSV or parquet files, or a quoted pattern. May be repeated."),
    ]
    more: Annotated[
        list[str] | None,
        typer.Argument(help="More files, such as those of a pattern that the shell expanded."),
    ] = None
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            help="table_column=FILE_COLUMN,… Other columns come from the file column of the same "
            "name, if any. FILE_COLUMN may combine several, such as '{Year}-{Month:02}'; {@row} is "
            "the number of the row, {@file} the name of the file.",
            rich_help_panel=_ROWS,
        ),
    ] = None
    constants: Annotated[
        list[str] | None,
        typer.Option("--const", help="table_column=VALUE,… for every row.", rich_help_panel=_ROWS),
    ] = None
    max_bad_fraction: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="Load nothing if more than this share of the rows cannot be read.",
            rich_help_panel=_ROWS,
        ),
    ] = MAX_BAD_FRACTION
    allow_missing_columns: Annotated[
        bool,
        typer.Option(
            "--allow-missing-columns",
            help="Accept files that lack columns of other files; those columns keep their values.",
            rich_help_panel=_ROWS,
        ),
    ] = False
    encoding: Annotated[
        str | None,
        typer.Option(
            help="Default: that of the byte order mark, else utf-8; latin-1 for u.item.",
            rich_help_panel=_TEXT,
        ),
    ] = None
    delimiter: Annotated[
        str | None,
        typer.Option(
            help=r"One character; \t is the tab. Default: tab for .tsv, else comma.",
            rich_help_panel=_TEXT,
        ),
    ] = None
    quotes: Annotated[
        bool | None,
        typer.Option(
            "--quotes/--no-quotes",
            help='Whether values may be in "quotes". Default: yes, except in tab-separated files.',
            rich_help_panel=_TEXT,
        ),
    ] = None
    escape: Annotated[
        str | None,
        typer.Option(
            help=r"Character before a quote inside a value, such as \.", rich_help_panel=_TEXT
        ),
    ] = None
    names: Annotated[
        str | None,
        typer.Option(
            "--columns",
            help="NAME,NAME,… Column names of files without a header.",
            rich_help_panel=_TEXT,
        ),
    ] = None
    null: Annotated[
        list[str] | None,
        typer.Option(
            help="Text that means a missing value. May be repeated.", rich_help_panel=_VALUES
        ),
    ] = None
    integer_ids: Annotated[
        bool,
        typer.Option("--integer-ids", help="Read the id 596.0 as 596.", rich_help_panel=_VALUES),
    ] = False
    strip: Annotated[
        str,
        typer.Option(help="Characters to remove from numbers, such as $.", rich_help_panel=_VALUES),
    ] = ""
    decimal: Annotated[
        str, typer.Option(help="The decimal point: . or ,", rich_help_panel=_VALUES)
    ] = "."
    timezone: Annotated[
        str, typer.Option(help="Zone of times that name none.", rich_help_panel=_VALUES)
    ] = "UTC"
    time_format: Annotated[
        str | None,
        typer.Option(
            help="Format of times that are not ISO 8601, for strptime: '%d/%m/%Y %H:%M'.",
            rich_help_panel=_VALUES,
        ),
    ] = None
    time_unit: Annotated[
        TimeUnit | None,
        typer.Option(help="Unit of times that are numbers. Default: s.", rich_help_panel=_VALUES),
    ] = None
    epoch: Annotated[
        datetime | None,
        typer.Option(
            formats=_DATES,
            help="Time of the number 0. Default: 1970-01-01.",
            rich_help_panel=_VALUES,
        ),
    ] = None


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Return `command` as a function that takes its LoadOptions as separate parameters."""

    build: Callable[..., LoadOptions] = LoadOptions  # Typer has checked the types of the values

    def run(**values: object) -> None:
        names = LoadOptions.__dataclass_fields__
        command(build(**{name: values.pop(name) for name in names}), **values)

    shared, own = _parameters(LoadOptions), _parameters(command)[1:]
    parameters = [*shared[:2], *own, *shared[2:]]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    return run


def _parameters(function: Callable[..., object]) -> list[inspect.Parameter]:
    hints = get_type_hints(function, include_extras=True)
    parameters = inspect.signature(function).parameters.values()
    return [
        parameter.replace(annotation=hints[parameter.name], kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in parameters
    ]


def run_simulation(simulation: Simulation[Rows, Total], to: Path | None) -> Total:
    """Write the days to files in the folder `to`, or else to the operational tables."""
    from jobs.source.simulation import to_database, to_files

    with progress_bar() as show:

        def progress(done: int) -> None:
            show("simulating", done / simulation.days)

        if to:
            return to_files(to, simulation, progress)
        return to_database(settings.load().source, simulation, progress)


def run_load(
    table: OperationalTable,
    tables: tuple[OperationalTable, ...],
    options: LoadOptions,
    reading: Reading | None = None,
) -> None:
    """Load the files into `table`, one of the use case's `tables`, and print the report."""
    from jobs.source.csv_file import CsvFormat
    from jobs.source.dialect import Dialect
    from jobs.source.load import load
    from jobs.source.mapping import parse_pairs
    from jobs.source.request import Request

    request = Request(
        table=table,
        patterns=(*options.files, *(options.more or ())),
        columns=parse_pairs(options.columns or (), "--map"),
        constants=parse_pairs(options.constants or (), "--const"),
        reading=reading,
        csv=CsvFormat(
            encoding=options.encoding or "utf-8",
            delimiter="\t" if options.delimiter == r"\t" else options.delimiter,
            names=tuple(name.strip() for name in options.names.split(","))
            if options.names
            else None,
            quoted=options.quotes,
            escape=options.escape,
        ),
        dialect=Dialect(
            timezone=options.timezone,
            nulls=tuple(options.null or ()),
            integer_ids=options.integer_ids,
            strip=options.strip,
            decimal=options.decimal,
            time_format=options.time_format,
            unit=options.time_unit,
            epoch=options.epoch,
        ),
        max_bad_fraction=options.max_bad_fraction,
        missing_columns=options.allow_missing_columns,
        others=tables,
    )
    here = settings.load()
    rejects = here.home / "rejects" / f"{table.name}-{datetime.now(UTC):%Y%m%dT%H%M%S.%f}.csv"
    with progress_bar() as show:
        summary = load(here.source, request, rejects, show)
    _report(summary)


def _report(summary: Summary) -> None:
    from jobs.cli.show import echo

    rejected = sum(summary.rejected.values())
    echo(
        f"read {summary.read:,} rows of {summary.files} file{'s' if summary.files > 1 else ''}"
        f" = {summary.loaded:,} loaded + {summary.duplicates:,} duplicates + {rejected:,} rejected"
    )
    written = {"rows": summary.written, **summary.companions}
    counts = [f"{count:,} {noun} new or changed" for noun, count in written.items()]
    echo(f"written: {', '.join(counts)}")
    for reason, count in sorted(summary.rejected.items()):
        echo(f"rejected: {count:,} × {reason}")
    if summary.rejects:
        echo(f"rejected rows: {summary.rejects}")
    for text, count in summary.remarks.items():
        if count:
            echo(f"note: {count:,} {text}")
    for name, cost in summary.unsupplied.items():
        echo(f"warning: no column for {name}: {cost}")
    if summary.ignored:
        echo(f"columns not loaded: {', '.join(summary.ignored)}")


@contextmanager
def progress_bar() -> Iterator[Callable[[str, float], None]]:
    """Show a bar on standard error if it is a terminal.

    Yields a function of (stage, share done).
    """
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
