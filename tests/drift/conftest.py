"""Print a table of the scenarios at the end: what happened, what was expected, what was seen."""

from __future__ import annotations

import pytest

from jobs.core.text_table import plain

_SCENARIOS = pytest.StashKey()


@pytest.fixture(scope="session")
def scenario(request):
    """`scenario(name, what, expected, found)`: one row of the table; fails where the two differ."""
    rows = request.config.stash.setdefault(_SCENARIOS, [])

    def record(name, what, expected, detected):
        rows.append(
            (name, what, str(expected), str(detected), "ok" if detected == expected else "FAILED")
        )
        assert detected == expected, f"{name}: {what}"

    return record


def pytest_terminal_summary(terminalreporter, config):
    rows = config.stash.get(_SCENARIOS, [])
    if not rows:
        return
    terminalreporter.section("scenarios")
    terminalreporter.write_line(plain(("scenario", "what", "expected", "found", ""), rows))
