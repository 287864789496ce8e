"""Embedded services: PostgreSQL, Redis, MLflow and Airflow as processes of one home."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from types import ModuleType

from jobs.core import settings as names
from jobs.core.errors import StoreError
from jobs.core.settings import Settings
from jobs.local import airflow, mlflow, postgres, redis
from jobs.local.refill import refill
from jobs.local.services import Service, start, stop, wait
from jobs.local.state import State, write

Progress = Callable[[str, str], None]


def up(
    settings: Settings,
    progress: Progress = lambda service, doing: None,
    *,
    scheduler: bool = False,
    migrate: Callable[[], object] = lambda: None,
) -> dict[str, str]:
    """Start the services that do not run and wait for them; write and return the addresses by name.

    The stores start always, Airflow only with `scheduler`. `migrate` is called in between: the
    settings have the stores' addresses by then, and a night may begin as soon as Airflow runs.

    Idempotent, and safe in several processes at once: running services are left alone, dead ones
    restart with their data and, if it is free, on their port. `progress(service, doing)` is called
    on every change. StoreError, with the end of the log, if a service does not start.
    """
    state = State(settings.home)
    state.prepare()
    with state.lock():
        restarted = _launch(state, redis, progress)
        _launch(state, postgres, progress)
        _await(postgres.service(state), progress)
        postgres.make_databases(state)
        _launch(state, mlflow, progress)
        write(settings.endpoints_file, endpoints := _endpoints(state))
        _await_redis(state, progress)
        migrate()
        if restarted:
            refill(postgres.dsn(state, "serving"), redis.url(state), progress)
        if scheduler:
            start_airflow(state, progress)
        # Last, since it takes longest and only training needs it.
        _await(mlflow.service(state), progress)
    return endpoints


def start_airflow(state: State, progress: Progress = lambda service, doing: None) -> None:
    """Start the processes of Airflow that do not run.

    Needs PostgreSQL, and a night may begin at once.
    """
    wanted = [service for service in airflow.services(state) if not airflow.is_well(state, service)]
    if wanted:
        progress("airflow", "preparing")
        airflow.prepare(state)
    for service in wanted:
        stop(service)
        if service.name == "api-server":
            state.move("airflow")
    for service in airflow.services(state):
        if not service.current:  # a new port changes the environment of every process
            progress(service.name, "starting")
            stop(service)
            start(service)
    for service in airflow.services(state):
        _await(service, progress)


def down(
    settings: Settings, *, purge: bool = False, progress: Progress = lambda service, doing: None
) -> None:
    """Stop all services; with `purge`, also delete their data, passwords and logs.

    The lake is kept.
    """
    state = State(settings.home)
    if not state.run.exists():
        return
    state.prepare()
    with state.lock():
        settings.endpoints_file.unlink(missing_ok=True)
        for service in reversed(_services(state)):
            stop(service)
            progress(service.name, "stopped")
        if purge:
            _purge(state)
            settings.schedule_file.unlink(missing_ok=True)  # the schedule is as in a new home


def running(settings: Settings) -> list[str]:
    """Return the names of the running services."""
    state = State(settings.home)
    return (
        [service.name for service in _services(state) if service.leader]
        if state.run.exists()
        else []
    )


def _services(state: State) -> list[Service]:
    return [
        redis.service(state),
        postgres.service(state),
        mlflow.service(state),
        *airflow.services(state),
    ]


def _launch(state: State, kind: ModuleType, progress: Progress) -> bool:
    """Start the service unless it runs; return whether it was started."""
    service: Service = kind.service(state)
    if service.current:
        return False
    progress(service.name, "starting")
    stop(service)
    state.move(service.name)
    kind.prepare(state)
    start(kind.service(state))
    return True


def _await_redis(state: State, progress: Progress) -> None:
    """Wait for Redis; if its file is damaged, set the file aside and start without it."""
    service = redis.service(state)
    try:
        wait(service)
    except StoreError:
        if not redis.is_damaged(service):
            raise
        progress(
            "redis",
            f"could not read its file; starting without it, kept as {redis.set_aside(state)}",
        )
        start(service)
    _await(service, progress)


def _await(service: Service, progress: Progress) -> None:
    wait(service)
    progress(service.name, "ready")


def _endpoints(state: State) -> dict[str, str]:
    return {
        names.SOURCE: postgres.dsn(state, "source"),
        names.POSTGRES: postgres.dsn(state, "serving"),
        names.REDIS: redis.url(state),
        names.MLFLOW: mlflow.url(state),
        names.AIRFLOW_DB: postgres.dsn(state, "airflow"),
    }


def _purge(state: State) -> None:
    postgres.purge(state)
    for name in ("redis", "mlflow", "airflow"):
        shutil.rmtree(state.home / name, ignore_errors=True)
    state.purge()
