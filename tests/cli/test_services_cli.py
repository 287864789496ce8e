import json
import os
import subprocess
import sys

import pytest

from jobs.core.settings import PROJECT

pytestmark = pytest.mark.process


def nightshift(*words, home):
    environment = {**os.environ, "NIGHTSHIFT_HOME": str(home)}
    return subprocess.run(
        [sys.executable, "-m", "jobs", *words],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
    )


def test_up_prints_the_addresses_without_passwords(services):
    done = nightshift("up", "--stores", home=services.home)
    assert done.returncode == 0, done.stderr
    endpoints = json.loads(services.endpoints_file.read_text())
    secrets = json.loads((services.home / "secrets.json").read_text())
    assert all(name in done.stdout for name in endpoints)
    assert not [name for name, password in secrets.items() if password in done.stdout + done.stderr]
    assert "\x1b" not in done.stdout, "plain lines where there is no terminal"


def test_an_address_that_is_printed_is_the_one_that_is_served(services):
    printed = dict(
        line.split()
        for line in nightshift("up", "--stores", home=services.home).stdout.splitlines()
        if "://" in line
    )
    assert printed["MLFLOW_TRACKING_URI"] == services.mlflow
    assert printed["NIGHTSHIFT_REDIS_URL"].rpartition(":")[2] == services.redis.rpartition(":")[2]


def test_down_of_a_home_that_never_was_is_no_error(tmp_path):
    done = nightshift("down", home=tmp_path / "none")
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder that is another user's")
def test_a_home_of_another_user_is_an_error_that_says_so(tmp_path):
    os.chown(tmp_path, 65534, 65534)
    done = nightshift("up", home=tmp_path)
    assert done.returncode == 78
    assert (
        "belongs to nobody" in done.stderr
        and "NIGHTSHIFT_HOME" in done.stderr
        and "Traceback" not in done.stderr
    )


def test_help_shows_an_example():
    for command in ("up", "down"):
        assert (
            f"Example: nightshift {command}" in nightshift(command, "--help", home=PROJECT).stdout
        )
