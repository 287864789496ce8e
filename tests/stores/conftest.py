"""Where the ClickHouse suites run: chDB in this process, and a server's HTTP interface."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jobs.core import settings
from jobs.stores import clickhouse

FRONT = Path(__file__).with_name("clickhouse_front.py")


@contextmanager
def front(folder: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A ClickHouse HTTP interface in a process of its own: its DSN and the process."""
    user, password = "night", f"{secrets.token_hex(4)}@:/%"
    environment = os.environ | {
        "FRONT_USER": user,
        "FRONT_PASSWORD": password,
        "PYTHONPATH": str(settings.PROJECT),
    }
    command = [sys.executable, str(FRONT), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        port = int(process.stdout.readline())
        try:
            quoted = password.replace("%", "%25").replace("/", "%2F")
            yield f"clickhouse://{user}:{quoted}@127.0.0.1:{port}/", process
        finally:
            process.kill()


@pytest.fixture(scope="session")
def serve():
    return front


@pytest.fixture(scope="module", params=["chdb", "http"])
def clickhouse_dsn(request, tmp_path_factory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("clickhouse")
    if request.param == "chdb":
        yield f"chdb:///{folder / 'data'}"
        return
    with front(folder) as (dsn, _):
        yield dsn


@pytest.fixture(scope="module")
def connect(clickhouse_dsn):
    """Opens another client each time it is called."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(settings.CLICKHOUSE, clickhouse_dsn)
        yield lambda: clickhouse.connect_clickhouse(settings.load())


@pytest.fixture(scope="module")
def store(connect):
    with connect() as opened:
        yield opened


@pytest.fixture
def database() -> str:
    """A pipeline that no other test has."""
    return f"fraud_{secrets.token_hex(4)}"
