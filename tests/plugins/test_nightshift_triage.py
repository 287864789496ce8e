"""What the UI says of a task leads to the runbook."""

from __future__ import annotations

import re

import pytest

from jobs.core.settings import PROJECT
from jobs.steps.frame import NIGHTLY
from nightshift_triage import RUNBOOK, runbook, step_doc


def headings():
    """The anchors that GitHub makes of the runbook's headings."""
    titles = re.findall(r"^#+ (.+)$", (PROJECT / "docs" / "runbook.md").read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_runbook_speaks_of_every_task():
    assert set(RUNBOOK) == {
        *NIGHTLY,
        "features_before",
        "scores_before",
        "approve",
        "champion",
        "watcher",
        "rollback",
        "freshness",
        "housekeeping",
        "orphan_pods",
    }


@pytest.mark.parametrize(("task", "sections"), RUNBOOK.items(), ids=RUNBOOK)
def test_every_section_is_there(task, sections):
    assert sections
    assert set(sections) <= headings()


def test_a_task_of_a_group_has_the_same_sections():
    assert runbook("movies.housekeeping") == runbook("housekeeping")


@pytest.mark.parametrize("step", [*NIGHTLY, "freshness", "housekeeping"])
def test_a_step_says_what_it_does_and_how_to_run_it_by_hand(step):
    purpose, *_, by_hand = step_doc("fraud", step).split("\n\n")
    assert purpose[0].isupper()
    assert purpose.endswith(".")
    assert by_hand == f"By hand: `nightshift {step} --pipeline fraud --date {{D}}`"
