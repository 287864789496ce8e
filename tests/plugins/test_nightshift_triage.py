"""What the UI says of a task leads to the runbook."""

from __future__ import annotations

import asyncio
import re
from collections import deque

import httpx
import pytest
from airflow.sdk.exceptions import AirflowTaskTimeout
from starlette.applications import Starlette

from jobs.core.errors import ConfigError, DataError, StoreError
from jobs.core.settings import PROJECT
from jobs.core.steps import NIGHTLY
from nightshift.docs import PREFIX, anchor, app, link
from nightshift.triage import RUNBOOK, advice, runbook, sections, step_doc

PAGE = f"http://localhost:8080{PREFIX}/docs/runbook.md"


def headings():
    """The anchors of the runbook's headings."""
    titles = re.findall(r"^#+ (.+)$", (PROJECT / "docs" / "runbook.md").read_text(), re.MULTILINE)
    return {anchor(title) for title in titles}


@pytest.fixture
def server():
    """`server(path)`: what Airflow's web server answers, as far as it serves the documentation."""
    host = Starlette()
    host.mount(PREFIX, app)

    async def get(path):
        transport = httpx.ASGITransport(host)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://localhost:8080"
        ) as client:
            return await client.get(path)

    return lambda path: asyncio.run(get(path))


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


@pytest.mark.parametrize("task", RUNBOOK)
def test_every_link_of_a_task_leads_to_a_heading_of_the_page_that_airflow_serves(server, task):
    links = re.findall(r"\]\(([^)]+)\)", runbook(task))
    assert links == [link(section) for section in RUNBOOK[task]]
    for each in links:
        path, _, section = each.partition("#")
        answer = server(path)
        assert answer.status_code == 200 and f' id="{section}"' in answer.text
        assert "script" not in answer.headers["Content-Security-Policy"]


def test_links_between_the_pages_lead_somewhere(server):
    shown = server(f"{PREFIX}/docs/runbook.md")
    for target in set(re.findall(r'href="([^"#]+\.md)', shown.text)):
        assert server(str(shown.url.join(target))).status_code == 200, target


@pytest.mark.parametrize(
    "path",
    [
        "params.yaml",
        "airflow.cfg",
        ".nightshift/endpoints.json",
        "docs/../params.yaml",
        "docs/%2e%2e/params.yaml",
        "/etc/passwd",
        "docs/generate.py",
        "docs",
        "",
        "docs/none.md",
        ".nightshift/lake/fraud/models/x.card.md",
    ],
)
def test_nothing_but_documentation_is_served(server, path):
    assert server(f"{PREFIX}/{path}").status_code == 404


ERRORS = [
    (ConfigError("wrong"), "a-setting-is-wrong"),
    (ConfigError("no Java", section="java-is-missing"), "java-is-missing"),
    (StoreError("MLflow: down", section="mlflow-is-down"), "mlflow-is-down"),
    (DataError("odd"), ""),
]


@pytest.mark.parametrize(("error", "section"), ERRORS)
def test_the_error_chooses_the_section_whichever_task_met_it(steps, error, section):
    """By way of the text that the step's process prints."""
    printed = deque(f"error: {error.explained()}".splitlines())
    failed = steps.failure("fraud/train 2018-07-10", error.exit_code, printed)
    assert sections("train", failed) == ((section,) if section else RUNBOOK["train"])
    assert advice("train", failed).startswith(f"Runbook: {PAGE}#{section or RUNBOOK['train'][0]}")
    assert f"{PAGE}#{section}" in failed.text or not section


@pytest.mark.parametrize(
    ("code", "section"),
    [
        (-9, "a-task-was-killed-or-ran-out-of-memory"),
        (78, "a-setting-is-wrong"),
        (1, ""),
    ],
)
def test_an_end_without_words_has_a_section_too(steps, code, section):
    assert steps.failure("fraud/train", code, deque()).section == section


def test_a_day_that_is_not_over_and_a_time_limit_have_their_sections(dates):
    assert sections("extract", dates.NoDay("x")) == (
        "a-run-names-no-day-or-a-day-that-is-not-over",
    )
    assert sections("train", AirflowTaskTimeout()) == ("a-task-was-killed-or-ran-out-of-memory",)


def test_every_section_that_the_code_names_is_there():
    files = [*(PROJECT / "jobs").rglob("*.py"), *(PROJECT / "plugins").rglob("*.py")]
    given = re.compile(
        r'(?:section|_SECTION|_DAMAGED|_COLUMNS) ?= ?"([\w-]+)"|runbook\.md#([a-z-]+)'
    )
    named = {one or other for file in files for one, other in given.findall(file.read_text())}
    assert len(named) > 10 and named <= headings(), named - headings()
