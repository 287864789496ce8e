"""Find a Java for Spark, or name the command that installs one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from jobs.core import environment
from jobs.core.errors import ConfigError

OLDEST = 17
_FOLDERS = ("/usr/lib/jvm/*", "/opt/homebrew/opt/openjdk*", "/usr/local/opt/openjdk*")


def home() -> Path:
    """Return the home of a Java 17 or newer: JAVA_HOME, `java` on the PATH, or a usual folder.

    Raises ConfigError with the command that installs one.
    """
    unusable = []
    for candidate in _candidates():
        if (version := _version(candidate)) >= OLDEST:
            return candidate
        unusable.append(f"{candidate} is {f'Java {version}' if version else 'no Java that starts'}")
    raise ConfigError(
        f"Spark needs Java {OLDEST} or newer, and there is none on this machine",
        input="; ".join(unusable),
        remedy=_how_to_install(),
        section="java-is-missing",
    )


def _candidates() -> Iterator[Path]:
    if configured := os.environ.get("JAVA_HOME"):
        yield Path(configured).absolute()
    if program := shutil.which("java"):
        yield Path(program).resolve().parents[1]
    for pattern in _FOLDERS:
        yield from sorted(Path("/").glob(pattern.lstrip("/")))


def _version(candidate: Path) -> int:
    """Return the major version of the Java at `candidate`, 0 if none starts there."""
    try:
        result = subprocess.run(
            [candidate / "bin" / "java", "-version"],
            env=environment.for_java(os.environ),
            timeout=60,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0
    # Java 8 reports itself as 1.8, and older versions likewise.
    number = re.search(r'version "(?:1\.)?(\d+)', result.stderr)
    return int(number[1]) if number and not result.returncode else 0


def _how_to_install() -> str:
    commands = {
        "apt-get": "apt-get install openjdk-17-jre-headless",
        "dnf": "dnf install java-17-openjdk-headless",
        "brew": "brew install openjdk@17",
    }
    here = next((command for tool, command in commands.items() if shutil.which(tool)), None)
    return (
        f"`{here}`"
        if here
        else "one of: " + ", ".join(f"`{command}`" for command in commands.values())
    )


if __name__ == "__main__":
    try:
        home()
    except ConfigError as error:
        raise SystemExit(str(error)) from None
