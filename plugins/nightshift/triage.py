"""What the UI says of each task: what the step does, and where on-call begins when it failed."""

from __future__ import annotations

import ast

from airflow.sdk.exceptions import AirflowTaskTimeout

from jobs.core.settings import PROJECT
from jobs.core.steps import STEPS
from nightshift.docs import link

# Sections of docs/runbook.md by task, the likeliest first; a test checks that the page has them.
RUNBOOK = {name: row.runbook for name, row in STEPS.items() if row.runbook} | {
    "features_before": ("the-day-before-does-not-end",),
    "scores_before": ("the-day-before-does-not-end",),
    "champion": ("nothing-was-trained", "there-is-no-champion"),
    "watcher": ("the-run-is-red",),
    "orphan_pods": ("pods-that-nobody-waits-for",),
}


def step_doc(pipeline: str, step: str) -> str:
    """The doc_md of a step's task."""
    return (
        f"{_purpose(step)}\n\n"
        f"**Failed?** The end of the log says what is wrong and what to do next. Then *Clear*, with downstream: "
        f"a step may be run again at any time and publishes the same. {runbook(step)}\n\n"
        f"By hand: `nightshift {step} --pipeline {pipeline} --date {{D}}`"
    )


def runbook(task: str) -> str:
    """The sections of the runbook for this task, whatever group its id begins with, as links in Markdown."""
    return "Runbook: " + ", ".join(f"[{_title(each)}]({link(each)})" for each in sections(task))


def advice(task: str, error: object = None) -> str:
    """The sections of the runbook for an error of this task, as addresses that open from anywhere."""
    return "Runbook: " + " ".join(link(each, absolute=True) for each in sections(task, error))


def sections(task: str, error: object = None) -> tuple[str, ...]:
    """The sections of the runbook for a task; only that of its error, where the error has one."""
    if isinstance(error, AirflowTaskTimeout):
        return ("a-task-was-killed-or-ran-out-of-memory",)
    named = str(getattr(error, "section", ""))
    return (named,) if named else RUNBOOK[task.rpartition(".")[2]]


def _title(section: str) -> str:
    return section.replace("-", " ")


def _purpose(step: str) -> str:
    """The first paragraph of the step's module, read from its file: importing it would import its libraries."""
    module = ast.parse((PROJECT / "jobs" / "steps" / f"{step}.py").read_text())
    words = (ast.get_docstring(module) or "").partition(":")[2].split("\n\n")[0].strip()
    return words[:1].upper() + words[1:]
