"""Java for Spark: where it is, or what to install."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from jobs.core.errors import ConfigError

OLDEST = 17
_FOLDERS = ("/usr/lib/jvm/*", "/opt/homebrew/opt/openjdk*", "/usr/local/opt/openjdk*")


def home() -> Path:
    """The home of a Java 17 or newer: of JAVA_HOME, of `java` on the PATH, or among the usual folders.

    Raises ConfigError with the command that installs one.
    """
    for candidate in _candidates():
        if _version(candidate) >= OLDEST:
            return candidate
    raise ConfigError(f"Spark needs Java {OLDEST} or newer and none was found", remedy=_how_to_install())


def _candidates() -> Iterator[Path]:
    if told := os.environ.get("JAVA_HOME"):
        yield Path(told)
    if found := shutil.which("java"):
        yield Path(found).resolve().parents[1]
    for pattern in _FOLDERS:
        yield from sorted(Path("/").glob(pattern.lstrip("/")))


def _version(candidate: Path) -> int:
    """The major version of the Java at `candidate`, 0 when there is none that starts."""
    try:
        said = subprocess.run(
            [candidate / "bin" / "java", "-version"], capture_output=True, text=True, check=False
        ).stderr
    except OSError:
        return 0
    found = re.search(r'version "(\d+)', said)
    return int(found[1]) if found else 0


def _how_to_install() -> str:
    commands = {
        "apt-get": "apt-get install openjdk-17-jre-headless",
        "dnf": "dnf install java-17-openjdk-headless",
        "brew": "brew install openjdk@17",
    }
    here = next((command for tool, command in commands.items() if shutil.which(tool)), None)
    return f"`{here}`" if here else "one of: " + ", ".join(f"`{command}`" for command in commands.values())


if __name__ == "__main__":
    try:
        home()
    except ConfigError as error:
        raise SystemExit(str(error)) from None
