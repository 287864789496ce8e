"""On-call in Airflow's UI, with a real browser: approve a challenger, roll back a publication."""

from __future__ import annotations

import sys
import time

import pytest
from playwright.sync_api import expect
from whole_versions import read_throughout

from nights import BEFORE, DAY
from platform_under_test import DAG

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1800)]
ROLLBACK, REASON = "rollback", "merchant scores are off"
SECONDS = 120_000  # for a run of `rollback` to end, in milliseconds


@pytest.fixture(scope="module")
def platform(scheduled):
    """One Airflow for both tests, which run in order; promotion waits for a person."""
    with scheduled("extract", manual) as platform:
        yield platform


def manual(place):
    place.set_params(promote={"approval": "manual"})
    return {}


def promotion(platform):
    """(date, kind, verdict, by whom, to which model, why) of the last one."""
    columns = "date, kind, verdict, approved_by, to_digest, reasons"
    return platform.place.query(f"SELECT {columns} FROM promotions ORDER BY id DESC LIMIT 1")[0]


def ask(page, dry):
    """Fill in the form of the DAG `rollback` and press Trigger; the moment of the click."""
    page.goto(f"/dags/{ROLLBACK}")
    page.get_by_test_id("trigger-dag-button").click()
    form = page.get_by_role("dialog")
    form.locator("[name=element_reason]").fill(REASON)
    dry_run = page.locator("[name=element_dry_run]")
    expect(dry_run).to_be_checked()
    if not dry:
        form.locator("label", has=dry_run).click()
        expect(dry_run).not_to_be_checked()
    form.get_by_test_id("trigger-dag-submit").click()
    return time.monotonic()


def log_of(page):
    """What the log of the run's one task says, as the UI shows it once the task has succeeded."""
    page.wait_for_url("**/runs/**")
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name=ROLLBACK, exact=True))
    expect(row).to_contain_text("Success", timeout=SECONDS)
    row.get_by_role("link", name=ROLLBACK, exact=True).click()
    said = page.get_by_test_id("virtualized-list")
    expect(said).to_contain_text("nightshift served fraud")
    return said.inner_text()


def test_a_waiting_challenger_is_read_about_and_approved_with_a_comment(platform, page):
    champion = promotion(platform)[4]
    with platform.api("oncall") as api:
        run = api.trigger(DAG, DAY)
    platform.await_question(run)
    page.goto("/")
    page.get_by_role("button", name="Browse").click()
    page.get_by_role("menuitem", name="Required Actions").click()
    page.get_by_role("link", name=f"Promote the challenger of fraud, {DAY}?").click()
    challenger = platform.place.manifest("train")
    expect(page.get_by_text("The verdict of the gate is promoted")).to_be_visible()
    version = challenger.facts["model_version"]
    expect(page.get_by_text(f"for model version {version} ")).to_be_visible()
    for table in ("roc_auc", "margin.average_precision", "skew"):
        expect(page.get_by_role("cell", name=table, exact=True).first).to_be_visible()
    page.locator("[name=element_comment]").fill("read, and better in every slice")
    page.get_by_test_id("hitl-option-Approve").click()
    expect(page.get_by_text("from oncall")).to_be_visible()
    state, _ = platform.finish(run)
    assert state == "success", platform.logs(run)
    day, kind, verdict, by, to, reasons = promotion(platform)
    assert (day, kind, verdict, by, to) == (
        DAY,
        "promotion",
        "promoted",
        "oncall",
        challenger.model_digest,
    )
    assert any("read, and better in every slice" in reason for reason in reasons)
    assert to != champion


def test_former_tables_and_model_are_served_again_while_clients_see_whole_versions(
    platform, page, capsys
):
    place, before = platform.place, platform.place.serving()
    (served, previous), champion = before["served"], promotion(platform)[4]
    former = place.manifest("predict", BEFORE).model_digest
    with read_throughout(place) as stores:
        ask(page, dry=True)
        said = log_of(page)
        assert f"{served} -> {previous}" in said and "nothing was changed" in said
        assert place.serving() == before
        click = ask(page, dry=False)
        assert f"{served} -> {previous}" in log_of(page)
    flips = [seen.versions[-1][1] - click for seen in stores]
    with capsys.disabled():
        sys.stdout.write(
            "\nfrom the click to the pointer: "
            f"PostgreSQL {flips[0]:.1f} s, Redis {flips[1]:.1f} s; "
            f"{stores[0].reads} and {stores[1].reads} reads of whole versions\n"
        )
    assert [[version for version, _ in seen.versions] for seen in stores] == [
        [served, previous]
    ] * 2
    assert 0 < flips[0] <= flips[1] + 1 and max(flips) < 60
    after = place.serving()
    assert after["served"][0] == after["redis"][0] == previous
    assert (
        promotion(platform)[1:5] == ("rollback", "rollback", "oncall", former)
        and former != champion
    )
