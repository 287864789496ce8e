"""A night in an environment set up for something else ends as it does anywhere.

Each setting is one night of the tiny installation that other tests share, after the days before it,
one process per step, as `nightshift run` does it; Airflow runs the night of the proxies. All of
them take about 12 minutes.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.core.settings import PROJECT
from nights import DAY, database_of, resume
from odd_places import WORST, another_spark

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

# Nothing listens there: whoever asks it for an address of this machine fails at once.
PROXIES = dict.fromkeys(
    ("http_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9"
)


@pytest.fixture
def install(night, databases, redis_url):
    """`install(home)`: the installation before the night of DAY in that folder, own databases."""
    kept = night["extract"]
    with (
        databases("serving", database_of(kept.postgres)) as serving,
        databases("source", database_of(kept.source)) as source,
    ):
        yield lambda home: replace(resume(kept, home, serving, redis_url), source=source)


@pytest.fixture(scope="module")
def undisturbed(night):
    """What the stores hold after the night, by content."""
    return night["end"].digests


@pytest.fixture
def here(tmp_path):
    """A working directory in which modules lie that are called like ours."""
    folder = tmp_path / "here [1] % ü"
    for module in ("jobs", "redis", "yaml", "pyspark"):
        (folder / module).mkdir(parents=True)
        (folder / module / "__init__.py").write_text("raise SystemExit('of the working directory')")
    return folder


def run(place, *before, cwd=PROJECT, **environment):
    """The night in that environment, one process per step; `before` precedes `nightshift`."""
    program = shutil.which("nightshift", path=str(Path(sys.executable).parent))
    assert program
    command = [*before, program, "run", "fraud", "--date", str(DAY)]
    variables = os.environ | place.environment | environment
    done = subprocess.run(
        command, cwd=cwd, env=variables, text=True, capture_output=True, check=False
    )
    log = place.home / "logs" / "runs" / f"fraud-{DAY}.log"
    said = f"{done.stdout}{done.stderr}\n{log.read_text()[-5000:] if log.exists() else ''}"
    assert done.returncode == 0, said
    return said


def test_another_spark_and_another_java(install, undisturbed, tmp_path):
    place = install(tmp_path / "home")
    run(place, **another_spark(tmp_path))
    assert place.digests() == undisturbed


def test_another_locale_zone_umask_and_working_directory(install, undisturbed, here, tmp_path):
    place = install(tmp_path / "home")
    run(place, "sh", "-c", 'umask 077; exec "$@"', "sh", cwd=here, LC_ALL="C", TZ="Asia/Kolkata")
    assert place.digests() == undisturbed


def test_a_home_on_a_long_path_of_odd_names(install, undisturbed, tmp_path):
    place = install(tmp_path / WORST)
    run(place, LC_ALL="C")
    assert place.digests() == undisturbed
    assert [path.name for path in tmp_path.iterdir()] == [WORST]


def test_turkish_an_open_umask_and_a_temporary_folder_that_runs_nothing(install, undisturbed):
    """On a machine without Turkish, Python and Java fall back; the rest is still tested."""
    private = Path(tempfile.mkdtemp(prefix="nightshift-", dir="/var/tmp"))
    try:
        place = install(private / "home")
        mount = (
            'mount --bind /tmp /tmp && mount -o remount,bind,noexec /tmp && umask 000 && exec "$@"'
        )
        run(
            place,
            "unshare",
            "-m",
            "sh",
            "-c",
            mount,
            "sh",
            LC_ALL="tr_TR.UTF-8",
            LANG="tr_TR.UTF-8",
        )
        assert place.digests() == undisturbed
        open_to_all = [
            str(path)
            for path in place.home.rglob("*.json")
            if path.name in ("secrets.json", "endpoints.json", "passwords.json")
            and stat.S_IMODE(path.stat().st_mode) & 0o077
        ]
        assert open_to_all == []
    finally:
        shutil.rmtree(private)


def test_roles_and_variables_of_postgresql_for_another_use(install, undisturbed, tmp_path):
    place = install(tmp_path / "home")
    with limited_roles(place):
        run(
            place,
            PGCLIENTENCODING="LATIN1",
            PGTZ="Asia/Kolkata",
            PGOPTIONS="-c statement_timeout=40",
        )
    assert place.digests() == undisturbed


@contextmanager
def limited_roles(place):
    """Defaults of both roles that break a night; the test's own sessions reset them."""
    settings = (
        "client_encoding = 'WIN1252'",
        "statement_timeout = '40ms'",
        "idle_session_timeout = '100ms'",
        "timezone = 'Asia/Kolkata'",
        "datestyle = 'SQL, DMY'",
    )
    roles = [
        (dsn, f"ALTER ROLE CURRENT_USER IN DATABASE {database_of(dsn)}")
        for dsn in (place.postgres, place.source)
    ]
    for dsn, alter in roles:
        place.query("; ".join(f"{alter} SET {setting}" for setting in settings), dsn)
    try:
        yield
    finally:
        for dsn, alter in roles:
            place.query(f"SET statement_timeout = 0; {alter} RESET ALL", dsn)


def test_a_proxy_under_airflow(scheduled, undisturbed):
    """The scheduler's own clients, MLflow's and the steps' reach this machine directly."""
    with scheduled("extract", lambda place: PROXIES) as platform:
        run_id = platform.night(DAY)
        state, tasks = platform.finish(run_id)
        assert state == "success", (tasks, platform.logs(run_id))
        assert platform.place.digests() == undisturbed
