"""A real browser, logged in to a real Airflow as on-call."""

from __future__ import annotations

import os

import chromium
import pytest
from playwright.sync_api import sync_playwright

from jobs.local import airflow

PATIENCE_MS = 60_000  # two cores run the night, Airflow and the browser


@pytest.fixture(scope="module")
def browser():
    """The system's Chromium; its sandbox does not work as root."""
    path = chromium.executable()
    assert path, chromium.MISSING
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        launched = playwright.chromium.launch(executable_path=path, args=arguments)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def page(browser, platform):
    """A page of Airflow's UI, on which on-call has just logged in by its form."""
    url, password = airflow.url(platform.state), airflow.logins(platform.state)["oncall"]
    context = browser.new_context(base_url=url, viewport={"width": 1600, "height": 1200})
    context.set_default_timeout(PATIENCE_MS)
    opened = context.new_page()
    opened.goto("/")
    opened.get_by_label("Username").fill("oncall")
    opened.locator("input[type=password]").fill(password)
    opened.get_by_role("button", name="Sign in").click()
    opened.get_by_role("heading", name="Nightshift").wait_for()
    yield opened
    context.close()
