"""docs/reliability.md: the kills of one `make test-chaos`."""

from __future__ import annotations

from jobs.core.markdown_table import markdown_table

_HEAD = """# Reliability

<!-- Written by `make test-chaos`. Do not edit. -->

The kills of one `make test-chaos` (tests/scheduler/test_chaos.py). While a real scheduler ran a
night on real engines, the test killed something with SIGKILL in the step, or pressed a button of
on-call. *Equal* means that the run ended green, that the digests of everything that the night wrote
or serves equal those of an undisturbed night, and that no process of it was left.

"""


def page(rows):
    """The page for rows of (step, what was killed, re-trigger, outcome of the test)."""
    columns = ("in step", "killed or done", "re-trigger", "digests")
    kills = (
        (f"`{step}`", what, how, "equal" if outcome == "passed" else outcome)
        for step, what, how, outcome in rows
    )
    return _HEAD + "\n".join(markdown_table(columns, kills)) + "\n"
