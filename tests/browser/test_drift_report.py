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
def report(browser, tmp_path):
    """`report(categories)`: Evidently's report of these categories, opened with all its charts."""

    def opened(categories):
        watched = Watched("device_type", "category", 0.1)
        now = pd.Series(
            [name for n, name in enumerate(categories, 1) for _ in range(n * 10)], dtype=object
        )
        file = tmp_path / "report.html"
        file.write_bytes(distances.measure([Pair("day", "feature", watched, now, now[::-1])]).html)
        page = browser.new_page()
        page.goto(file.as_uri())
        expect(page.get_by_text("day device_type").first).to_be_visible(timeout=60_000)
        for button in page.get_by_role(
            "button"
        ).all():  # the details, where the categories are drawn
            button.click()
        return page

    return opened


def test_no_category_of_the_data_runs_as_a_script(report):
    page = report(("pos", *ATTACKS))
    page.wait_for_timeout(2_000)
    assert page.evaluate("window.pwned") is None and page.title() != "pwned"
    assert page.locator("img[src=x], svg[onload], a[href^=javascript]").count() == 0
    assert "window.pwned = true" in page.content(), "the categories are in the page"
    page.close()


def test_what_would_run_is_noticed(report, monkeypatch):
    """Without the escape it did run: the test above can fail."""
    monkeypatch.setattr(distances, "markup", lambda text: text)
    with pytest.raises(AssertionError):
        test_no_category_of_the_data_runs_as_a_script(report)
