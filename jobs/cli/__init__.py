"""The command line. Its console script, `nightshift`, calls `entry.main`."""

from __future__ import annotations

import runpy


def main() -> None:
    """Run the command line; console scripts that an earlier release installed call this."""
    runpy.run_module("jobs", run_name="__main__")
