"""What every `nightshift source load` shares: its options, and the report of what it did."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from jobs.core import settings
from jobs.source import MAX_BAD_FRACTION
from jobs.source.dialect import TimeUnit

if TYPE_CHECKING:
    from jobs.source.load import Summary
    from jobs.source.request import LabelRule, Reading
    from jobs.source.schema import Table

_TEXT, _VALUES, _ROWS = "Files of text", "Values", "Columns and rows"
_DATES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]


@dataclass(frozen=True)
class Given:
    """What the options of every load say; the fields are the options, in the order of --help."""

    files: Annotated[
        list[str],
        typer.Option(
            "--files", help="CSV or parquet files, or a quoted pattern of them. May be repeated."
        ),
    ]
    more: Annotated[
        list[str] | None, typer.Argument(help="More files: what the shell makes of a pattern.")
    ] = None
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            help="table_column=FILE_COLUMN,… A column that is not named comes from its namesake, if any. FILE_COLUMN"
            " may be composed of several, as in '{Year}-{Month:02}'; {@row} is the row's number, {@file} the"
            " file's name.",
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
            help="Load nothing when more than this share of the rows cannot be read.",
            rich_help_panel=_ROWS,
        ),
    ] = MAX_BAD_FRACTION
    allow_missing_columns: Annotated[
        bool,
        typer.Option(
            "--allow-missing-columns",
            help="A file may lack columns that another one has: they stay as they are.",
            rich_help_panel=_ROWS,
        ),
    ] = False
    encoding: Annotated[
        str | None,
        typer.Option(
            help="utf-8 unless given or named by a byte order mark; u.item latin-1.",
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
            help='Whether values may be in "quotes". Default: yes, but not between tabs.',
            rich_help_panel=_TEXT,
        ),
    ] = None
    escape: Annotated[
        str | None,
        typer.Option(
            help=r"Character before a quote in a value, such as \.", rich_help_panel=_TEXT
        ),
    ] = None
    names: Annotated[
        str | None,
        typer.Option(
            "--columns",
            help="NAME,NAME,… The columns of files without a header.",
            rich_help_panel=_TEXT,
        ),
    ] = None
    null: Annotated[
        list[str] | None,
        typer.Option(
            help="A text that means a missing value. May be repeated.", rich_help_panel=_VALUES
        ),
    ] = None
    integer_ids: Annotated[
        bool,
        typer.Option("--integer-ids", help="Read the id 596.0 as 596.", rich_help_panel=_VALUES),
    ] = False
    strip: Annotated[
        str,
        typer.Option(
            help="Characters to leave out of numbers, such as $.", rich_help_panel=_VALUES
        ),
    ] = ""
    decimal: Annotated[
        str, typer.Option(help="The decimal point: . or ,", rich_help_panel=_VALUES)
    ] = "."
    timezone: Annotated[
        str, typer.Option(help="Of times that name no zone of their own.", rich_help_panel=_VALUES)
    ] = "UTC"
    time_format: Annotated[
        str | None,
        typer.Option(
            help="Of times that are not ISO 8601: strptime's, such as '%d/%m/%Y %H:%M'.",
            rich_help_panel=_VALUES,
        ),
    ] = None
    time_unit: Annotated[
        TimeUnit | None,
        typer.Option(
            help="What numbers count that are times. Default: s.", rich_help_panel=_VALUES
        ),
    ] = None
    epoch: Annotated[
        datetime | None,
        typer.Option(
            formats=_DATES,
            help="The time that the number 0 stands for. Default: 1970-01-01.",
            rich_help_panel=_VALUES,
        ),
    ] = None


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """`command`, whose first argument is a Given, as a command with the options of Given around its own."""

    def run(**options: Any) -> None:
        given = Given(**{name: options.pop(name) for name in Given.__dataclass_fields__})
        command(given, **options)

    shared, own = _parameters(Given), _parameters(command)[1:]
    parameters = [*shared[:2], *own, *shared[2:]]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    return run


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    hints = get_type_hints(function, include_extras=True)
    parameters = inspect.signature(function).parameters.values()
    return [
        parameter.replace(annotation=hints[parameter.name], kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in parameters
    ]


def run_load(
    table: Table, given: Given, label: LabelRule | None = None, reading: Reading | None = None
) -> None:
    """Load the files into `table` as the options say, and report what happened."""
    from jobs.source.csv_file import CsvFormat
    from jobs.source.dialect import Dialect
    from jobs.source.load import load
    from jobs.source.mapping import parse_pairs
    from jobs.source.request import Request

    request = Request(
        table=table,
        patterns=(*given.files, *(given.more or ())),
        columns=parse_pairs(given.columns or (), "--map"),
        constants=parse_pairs(given.constants or (), "--const"),
        label=label,
        reading=reading,
        csv=CsvFormat(
            encoding=given.encoding or "utf-8",
            delimiter="\t" if given.delimiter == r"\t" else given.delimiter,
            names=tuple(name.strip() for name in given.names.split(",")) if given.names else None,
            quoted=given.quotes,
            escape=given.escape,
        ),
        dialect=Dialect(
            timezone=given.timezone,
            nulls=tuple(given.null or ()),
            integer_ids=given.integer_ids,
            strip=given.strip,
            decimal=given.decimal,
            time_format=given.time_format,
            unit=given.time_unit,
            epoch=given.epoch,
        ),
        max_bad_fraction=given.max_bad_fraction,
        missing_columns=given.allow_missing_columns,
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
        if count:
            echo(f"note: {count:,} {text}")
    for name, cost in summary.unsupplied.items():
        echo(f"warning: no column for {name}: {cost}")
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
