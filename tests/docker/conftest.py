"""secrets.sh, as its tests and those of compose.yaml call it."""

import subprocess

import pytest

from jobs.core.settings import PROJECT


def _generate(file):
    """Names and values in `file` after a run."""
    subprocess.run(["sh", PROJECT / "docker" / "secrets.sh", file], check=True)
    return dict(line.split("=", 1) for line in file.read_text().splitlines())


@pytest.fixture
def generate():
    return _generate
