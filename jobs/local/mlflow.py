"""The embedded MLflow server: database in PostgreSQL, artifacts under the home."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request

from jobs.local import postgres
from jobs.local.services import Service
from jobs.local.state import HOST, State


def service(state: State) -> Service:
    """Return the server of this home; its database's password is only in its environment."""
    database = postgres.dsn(state, "mlflow").replace("postgresql:", "postgresql+psycopg2:", 1)
    options = {
        "--host": HOST,
        "--port": str(state.port("mlflow")),
        "--workers": "1",
        "--artifacts-destination": (state.home / "mlflow" / "artifacts").as_uri(),
    }
    return Service(
        name="mlflow",
        folder=state.home / "mlflow",
        command=[
            sys.executable,
            "-m",
            "mlflow",
            "server",
            *(word for pair in options.items() for word in pair),
        ],
        pidfile=state.run / "mlflow.pid",
        log=state.logs / "mlflow.log",
        ready=lambda: _answers(f"{url(state)}/health"),
        environment={
            "MLFLOW_BACKEND_STORE_URI": database,
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        },
        patience_s=180,
    )


def prepare(state: State) -> None:
    """Create its folder."""
    state.folder("mlflow")


def url(state: State) -> str:
    """Return the URL for clients."""
    return f"http://{HOST}:{state.port('mlflow')}"


def _answers(address: str) -> bool:
    # Without a proxy, which could not reach the loopback.
    local = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with local.open(address, timeout=5) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False
