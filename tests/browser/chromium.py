"""Which Chromium drives the UI: that of NIGHTSHIFT_BROWSER, else the system's.

Run as a script, it fails if there is none.
"""

from __future__ import annotations

import os
import shutil
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome")
MISSING = (
    "error: no Chromium was found. Next: install one (Debian: apt-get install chromium; "
    "Fedora: dnf install chromium), "
    "or set NIGHTSHIFT_BROWSER to the path of a Chrome"
)


def executable() -> str | None:
    """Its path; None where there is none."""
    named = os.environ.get("NIGHTSHIFT_BROWSER")
    return shutil.which(named) if named else next(filter(None, map(shutil.which, NAMES)), None)


if __name__ == "__main__":
    sys.exit(0 if executable() else MISSING)
