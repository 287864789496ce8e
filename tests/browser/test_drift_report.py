"""The drift report in a real browser: what data holds is shown as text and runs nowhere."""

from __future__ import annotations

import pandas as pd
import pytest
from playwright.sync_api import expect

from jobs.evaluation import distances
from jobs.evaluation.watched import Pair, Watched

pytestmark = pytest.mark.browser
SET = "window.pwned = true; document.title = 'pwned'"
ATTACKS = (
    f"</script><script>{SET}</script>",
    f'<img src=x onerror="{SET}">',
    f'<svg onload="{SET}">',
    f"'-({SET})-'",
    f"\u2028{SET}",
    f"<!--<script>{SET}",
    f'<a href="javascript:{SET}">x</a>',
)


@pytest.fixture
def tab(browser):
    """An empty page of a context of its own."""
    with browser.new_context() as context:
        yield context.new_page()


@pytest.fixture
def report(tmp_path):
    """`report(categories)`: the address of Evidently's report of these categories."""

    def write(categories):
        watched = Watched("device_type", "category", 0.1)
        now = pd.Series(
            [name for n, name in enumerate(categories, 1) for _ in range(n * 10)], dtype=object
        )
        file = tmp_path / "report.html"
        file.write_bytes(distances.measure([Pair("day", "feature", watched, now, now[::-1])]).html)
        return file.as_uri()

    return write


@pytest.mark.parametrize(
    "attacks", [ATTACKS, *((attack,) for attack in ATTACKS)], ids=["all", *map(repr, ATTACKS)]
)
def test_no_category_of_the_data_runs_as_a_script(report, tab, attacks):
    tab.goto(report(("pos", *attacks)))
    expect(tab.get_by_text("day device_type").first).to_be_visible(timeout=60_000)
    for button in tab.get_by_role("button").all():  # the details, where the categories are drawn
        button.click()
    tab.wait_for_timeout(2_000)
    assert tab.evaluate("window.pwned") is None and tab.title() != "pwned"
    assert tab.locator("img[src=x], svg[onload], a[href^=javascript]").count() == 0
    assert "window.pwned = true" in tab.content(), "the categories are in the page"


def test_what_would_run_is_noticed(report, tab, monkeypatch):
    """Without the escape the first attack runs: the test above can fail."""
    monkeypatch.setattr(distances, "markup", lambda text: text)
    tab.goto(report(("pos", ATTACKS[0])))
    tab.wait_for_function("window.pwned === true && document.title === 'pwned'")
