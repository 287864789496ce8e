"""The documentation of each task in the UI: what it does, and where on-call starts if it fails."""

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
        f"**Failed?** The end of the log says what is wrong and what to do next. Then *Clear* the "
        f"task with its downstream tasks. Rerunning a step is always safe. {runbook(step)}\n\n"
        f"By hand: `nightshift {step} --pipeline {pipeline} --date {{D}}`"
    )


def runbook(task: str) -> str:
    """The runbook sections for a task, as links in Markdown; a group before its name is ignored."""
    return "Runbook: " + ", ".join(f"[{_title(name)}]({link(name)})" for name in sections(task))


def advice(task: str, error: object = None) -> str:
    """The runbook sections for an error of a task, as absolute addresses."""
    return "Runbook: " + " ".join(link(name, absolute=True) for name in sections(task, error))


def sections(task: str, error: object = None) -> tuple[str, ...]:
    """The runbook sections for a task; only the section of its error, if the error names one."""
    if isinstance(error, AirflowTaskTimeout):
        return ("a-task-was-killed-or-ran-out-of-memory",)
    section = str(getattr(error, "section", ""))
    return (section,) if section else RUNBOOK[task.rpartition(".")[2]]


def _title(section: str) -> str:
    return section.replace("-", " ")


def _purpose(step: str) -> str:
    """The first paragraph of the step's module, read from its file to avoid importing its
    libraries.
    """
    module = ast.parse((PROJECT / "jobs" / "steps" / f"{step}.py").read_text())
    words = (ast.get_docstring(module) or "").partition(":")[2].split("\n\n")[0].strip()
    return words[:1].upper() + words[1:]
