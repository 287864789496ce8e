"""`nightshift STEP --pipeline P --date D`: run a step; shell, DVC, Airflow and pods all use it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jobs.core.pipelines import PIPELINE_HELP
from jobs.core.receipt import Decisions

if TYPE_CHECKING:
    from jobs.core.manifest import Manifest

PARENT = "NIGHTSHIFT_PARENT"
ATTEMPT = "NIGHTSHIFT_ATTEMPT"  # id of a pod's attempt, also a label of the pod

Pipeline = Annotated[str, typer.Option(help=PIPELINE_HELP)]
Dates = Annotated[
    list[datetime],
    typer.Option(
        formats=["%Y-%m-%d"],
        help="The UTC day D. Repeat it to run several days in order.",
    ),
]
Refresh = Annotated[
    bool,
    typer.Option(
        "--refresh", help="Also read tables without an event time again, even if D has them."
    ),
]
Receipt = Annotated[
    Path | None,
    typer.Option(help="Write outputs and decisions, without times, to this file (for DVC)."),
]
Force = Annotated[
    bool,
    typer.Option(
        "--force", help="Run a date that is far from every day in the source and the lake."
    ),
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run/--no-dry-run", help="List what would be removed, without removing it."),
]


class Answer(StrEnum):
    asked = "asked"
    approved = "approved"
    declined = "declined"
    expired = "expired"


def execute(
    step: str, pipeline: str, date: list[datetime], receipt: Path | None = None, **options: object
) -> None:
    """Run a step for each date, in order, in this process."""
    # Set before OpenMP is loaded: threads that spin while they wait take processor time from other
    # steps.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from jobs.core import log, masking, settings
    from jobs.core.identity import Run
    from jobs.core.process import die_with_parent, exit_on_sigterm
    from jobs.steps import frame

    if parent := os.environ.get(PARENT):
        die_with_parent(int(parent))
    exit_on_sigterm()
    sys.stdout = masking.masked(sys.stdout)  # standard output of a step ends up in logs
    log.set_up()
    named = {"attempt": attempt} if (attempt := os.environ.get(ATTEMPT)) else {}
    for day in date:
        manifest = frame.execute(
            Run(pipeline, step, day.date(), **named), settings.load(), **options
        )
        if receipt:
            write_receipt(manifest, receipt)


def write_receipt(manifest: Manifest, path: Path) -> None:
    """Write outputs and decisions, without times, to the file that DVC and Airflow's tasks read."""
    names = Decisions.__annotations__.keys() & manifest.facts.keys()
    receipt = manifest.receipt() | {"decided": {name: manifest.facts[name] for name in names}}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(receipt, indent=1, sort_keys=True) + "\n")


def add_to(app: typer.Typer, names: Sequence[str]) -> None:
    """Add one command per step, with the name of the step."""
    for name in names:
        app.command(name, help=_help(name), rich_help_panel="Steps")(_command(name))


def _command(step: str) -> Callable[..., None]:
    def command(pipeline: Pipeline, date: Dates, receipt: Receipt = None) -> None:
        execute(step, pipeline, date, receipt)

    def extracting(
        pipeline: Pipeline,
        date: Dates,
        receipt: Receipt = None,
        refresh: Refresh = False,
        force: Force = False,
    ) -> None:
        execute(step, pipeline, date, receipt, refresh=refresh, force=force)

    def sweeping(
        pipeline: Pipeline, date: Dates, receipt: Receipt = None, dry_run: DryRun = True
    ) -> None:
        execute(step, pipeline, date, receipt, dry_run=dry_run)

    def approving(
        pipeline: Pipeline,
        date: Dates,
        answer: Annotated[
            Answer, typer.Option(help="A person's answer; `asked` if there is none yet.")
        ],
        receipt: Receipt = None,
        by: Annotated[str, typer.Option(help="Who answered.")] = "",
        comment: Annotated[str, typer.Option(help="Why.")] = "",
        dag_run: Annotated[
            str, typer.Option(help="The Airflow run that asks; leave it out in a shell.")
        ] = "",
    ) -> None:
        execute(
            step,
            pipeline,
            date,
            receipt,
            answer=answer.value,
            by=by,
            comment=comment,
            dag_run=dag_run,
        )

    def promoting(
        pipeline: Pipeline,
        date: Dates,
        receipt: Receipt = None,
        dag_run: Annotated[
            str, typer.Option(help="Accept only an answer given in this Airflow run or in a shell.")
        ] = "",
    ) -> None:
        execute(step, pipeline, date, receipt, **({"dag_run": dag_run} if dag_run else {}))

    special: dict[str, Callable[..., None]] = {
        "extract": extracting,
        "housekeeping": sweeping,
        "approve": approving,
        "promote": promoting,
    }
    return special.get(step, command)


def _help(step: str) -> str:
    """Return the summary of the step's module, without importing it, which would load Spark."""
    source = (Path(__file__).parents[1] / "steps" / f"{step}.py").read_text()
    summary = source.split('"""')[1].partition(":")[2].strip().split("\n\n")[0]
    example = f"nightshift {step} --pipeline fraud --date 2018-07-10"
    return f"{summary[:1].upper()}{summary[1:]}\n\nExample: {example}"
