"""The embedded Airflow: api-server, scheduler, dag-processor and triggerer, on embedded PostgreSQL.

Airflow is never imported here but run as a process, with the project's airflow.cfg and the
environment variables that this file uses. Its home is `<home>/airflow`.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import closing, suppress
from datetime import datetime
from functools import partial
from pathlib import Path

from jobs.core.errors import ConfigError, StoreError
from jobs.core.settings import AIRFLOW_DB, PROJECT
from jobs.local import postgres
from jobs.local.services import Service, inherited
from jobs.local.state import HOST, State, read, write

# Component: its name on the health page.
COMPONENTS = {
    "api-server": "metadatabase",
    "scheduler": "scheduler",
    "dag-processor": "dag_processor",
    "triggerer": "triggerer",
}
USERS = ("admin", "oncall", "analyst")  # their roles are in airflow.cfg
POOLS = PROJECT / "plugins" / "nightshift" / "pools.json"
# Their log server would listen on all interfaces; the api-server reads the files instead.
_NO_LOG_SERVER = ("scheduler", "triggerer")

Health = Mapping[str, Mapping[str, str | None]]
"""The page of Airflow's health: by component, its status and its latest heartbeat."""


def services(state: State) -> list[Service]:
    """Return Airflow's processes in start order."""
    return [_service(state, component) for component in COMPONENTS]


def is_well(state: State, service: Service) -> bool:
    """Whether it keeps running: all but the api-server exit soon after their database was down."""
    leader = service.leader
    if leader is None or not service.current:
        return False
    return service.name == "api-server" or leader.create_time() > _database_since(state)


def url(state: State) -> str:
    """Return the URL of the UI and the API."""
    return f"http://{HOST}:{state.port('airflow')}"


def environment(state: State) -> dict[str, str]:
    """Return the environment for airflow.cfg and the steps; it contains secrets."""
    return {
        "AIRFLOW_HOME": str(state.home / "airflow"),
        "AIRFLOW_CONFIG": str(PROJECT / "airflow.cfg"),
        "NIGHTSHIFT_PROJECT": str(PROJECT),
        "NIGHTSHIFT_HOME": str(state.home),
        "NIGHTSHIFT_AIRFLOW_PORT": str(state.port("airflow")),
        # Without `sslmode`, which Airflow's other driver, asyncpg, does not support.
        "NIGHTSHIFT_AIRFLOW_DB": _database(state)
        .removesuffix(postgres.PLAIN)
        .replace("postgresql:", "postgresql+psycopg2:", 1),
        # A Fernet key is 32 bytes in base64, padding included.
        "NIGHTSHIFT_AIRFLOW_FERNET_KEY": state.secret("airflow_fernet_key", 32) + "=",
        "NIGHTSHIFT_AIRFLOW_API_SECRET": state.secret("airflow_api_secret"),
        "NIGHTSHIFT_AIRFLOW_JWT_SECRET": state.secret("airflow_jwt_secret", 64),
    }


def prepare(state: State) -> None:
    """Create folders, logins and pools and migrate Airflow's database; needs PostgreSQL.

    StoreError with Airflow's output if that fails; ConfigError for a path that Airflow would
    change.
    """
    _check_paths(PROJECT, state.home)
    for name in ("airflow", "logs/airflow", *(f"airflow/{component}" for component in COMPONENTS)):
        state.folder(name)
    logins(state)
    done = state.home / "airflow" / "prepared.json"
    wanted = {
        "version": importlib.metadata.version("apache-airflow"),
        "pools": hashlib.sha256(POOLS.read_bytes()).hexdigest(),
    }
    if read(done) != wanted or _is_empty(state):
        _call(state, "db", "migrate")
        _call(state, "pools", "import", str(POOLS))
        write(done, wanted)


def _check_paths(*paths: Path) -> None:
    for path in map(str, paths):
        if os.path.expandvars(path) != path:
            raise ConfigError(
                "Airflow would expand a part of this path as an environment variable",
                input=path,
                remedy="move it to a path without `$`; set NIGHTSHIFT_HOME for the home",
            )


def logins(state: State) -> dict[str, str]:
    """Return the passwords by user, created on first use in the file that Airflow reads."""
    if not (passwords := read(logins_file(state))):
        passwords = {user: state.secret(f"airflow_{user}") for user in USERS}
        write(logins_file(state), passwords)
    return passwords


def logins_file(state: State) -> Path:
    """Return the path of the logins, which Airflow reads too."""
    return state.home / "airflow" / "passwords.json"


def command(*arguments: str) -> list[str]:
    """Return a command of Airflow's own command line."""
    return [sys.executable, "-m", "airflow", *arguments]


def _database(state: State) -> str:
    return os.environ.get(AIRFLOW_DB) or postgres.dsn(state, "airflow")


def _is_empty(state: State) -> bool:
    """Whether the database has no tables of Airflow."""
    return bool(_ask(state, "SELECT to_regclass('alembic_version') IS NULL"))


def _database_since(state: State) -> float:
    """Return the start time of the database server, in seconds since 1970."""
    return float(str(_ask(state, "SELECT extract(epoch FROM pg_postmaster_start_time())")))


def _ask(state: State, question: str) -> object:
    from jobs.core import libpq

    with (
        closing(libpq.session(_database(state), "nightshift up")) as session,
        session.cursor() as cursor,
    ):
        cursor.execute(question)
        (value,) = cursor.fetchone() or (None,)
    return value


def _service(state: State, component: str) -> Service:
    folder = state.home / "airflow" / component
    options = ["--skip-serve-logs"] if component in _NO_LOG_SERVER else []
    return Service(
        name=component,
        folder=folder,
        command=command(component, *options),
        pidfile=state.run / f"{component}.pid",
        log=state.logs / f"{component}.log",
        ready=partial(_beats, state, component),
        environment=environment(state),
        patience_s=240,
    )


def _beats(state: State, component: str) -> bool:
    """Whether the health page has a heartbeat of this process, not only of an earlier one."""
    health = _health(state).get(COMPONENTS[component], {})
    beat = health.get(f"latest_{COMPONENTS[component]}_heartbeat")
    if component == "api-server" or beat is None:
        return component == "api-server" and health.get("status") == "healthy"
    started = (state.run / f"{component}.pid").stat().st_mtime
    return datetime.fromisoformat(beat).timestamp() >= started


def _health(state: State) -> Health:
    # Without a proxy, which could not reach the loopback.
    local = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with (
        suppress(OSError, urllib.error.URLError, ValueError),
        local.open(f"{url(state)}/api/v2/monitor/health", timeout=5) as response,
    ):
        page: Health = json.load(response)
        return page
    return {}


def _call(state: State, *arguments: str) -> None:
    done = subprocess.run(
        command(*arguments),
        env=inherited() | environment(state),
        cwd=state.home / "airflow",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise StoreError(
            f"`airflow {' '.join(arguments)}` failed:\n{(done.stderr or done.stdout)[-2000:]}",
            remedy="correct the cause in its output, then run `nightshift up` again",
        )
