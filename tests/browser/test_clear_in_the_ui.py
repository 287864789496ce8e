"""On-call presses Clear in a real browser: a failed run heals while its deadline is pending."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from nights import DAY
from platform_under_test import DAG

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def platform(canned):
    """The steps are canned: the button is under test."""
    return canned


def test_a_failed_task_is_cleared_with_downstream_and_the_run_heals(platform, page):
    platform.order(DAY, "validate", "fail")
    with platform.api("oncall") as api:
        run = api.trigger(DAG, DAY, steps="ingest")
    assert platform.finish(run)[0] == "failed"
    platform.mend(DAY, "validate")
    page.goto(f"/dags/{DAG}/runs/{run}/tasks/validate")
    page.get_by_role("button", name="Clear").first.click()
    dialog = page.get_by_role("dialog")
    # The dialog begins with Downstream selected.
    expect(dialog.get_by_text(re.compile(r"Affected Tasks: 1\d"))).to_be_visible()
    dialog.get_by_role("button", name="Confirm").click()
    expect(dialog).to_be_hidden()
    state, tasks = platform.finish(run)
    assert state == "success", f"{tasks}\n{platform.logs(run)}"
