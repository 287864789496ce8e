"""`nightshift demo`: three scheduled nights on simulated or real data, up to the first lookups."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from datetime import date, datetime, time, timedelta
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer

from jobs.cli.discovery import all_commands, find_commands

if TYPE_CHECKING:
    from jobs.cli.nights import Night
    from jobs.cli.show import Screen
    from jobs.core.facts import Metrics
    from jobs.core.settings import Settings
    from jobs.core.tables import Table
    from jobs.local.scheduler import Scheduler
    from jobs.serving.lookup import Answer

_NIGHTS = 3
_REAL_DATA = {pipeline: commands.real_data for pipeline, commands in all_commands().items()}


def demo(
    data: Annotated[
        Path | None,
        typer.Option(
            help=f"Folder with at least one of: {', '.join(map(str, _REAL_DATA.values()))}. "
            "Default: simulate the data."
        ),
    ] = None,
) -> None:
    """Start all services, fill the source, run three scheduled nights and look results up.

    Example: nightshift demo
    """
    from jobs.cli.night import catch_up
    from jobs.cli.nights import Night
    from jobs.cli.show import Screen
    from jobs.core import schedule, settings
    from jobs.stores.lake import Lake
    from jobs.usecases.discovery import find_usecase

    config, screen = settings.load(), Screen()
    names = _pipelines(data)
    nights = [
        Night(name, find_usecase(name).dag, day)
        for name in names
        for day in _days(config, name, data)
    ]
    lake = Lake(config.lake)
    done = [night for night in nights if lake.manifest(f"{night.pipeline}/verify/{night.day}")]
    if not done:
        schedule.begin_off(config, schedule.DEMO)
    with _services(config, screen) as services:
        for name in names:
            if not any(night.pipeline == name for night in done):
                fill(config, name, data)
                catch_up(screen, config, name, _days(config, name, data)[0])
        services.result()
    ended = _run(screen, config, [night for night in nights if night not in done])
    agree = True
    for name in names:
        _metrics(screen, config, name, _days(config, name, data)[-1])
        agree = _answers(screen, config, name) and agree
    _where(screen, config)
    if not agree or "failed" in ended.values():
        raise typer.Exit(1)


@contextmanager
def _services(config: Settings, screen: Screen) -> Iterator[Future[dict[str, str]]]:
    """Start the services; yield once the databases run, since the ingest needs no other service.

    MLflow and Airflow take half a minute more. The future ends when all services run.
    """
    from jobs.local import embedded
    from jobs.migrations import run

    databases = Event()

    def show(service: str, doing: str) -> None:
        screen.say(f"{service:13} {doing}")

    def migrate() -> None:
        run.migrate(config, lambda line: show("migrate", line))
        databases.set()

    with ThreadPoolExecutor(1) as pool:
        services = pool.submit(embedded.up, config, show, scheduler=True, migrate=migrate)
        services.add_done_callback(lambda _: databases.set())
        databases.wait()
        if services.done():
            services.result()
        yield services


def _pipelines(data: Path | None) -> list[str]:
    """Return the pipelines that the folder has files for; ConfigError if there are none."""
    from jobs.core.errors import ConfigError

    if data is None:
        return list(_REAL_DATA)
    if names := [name for name, real in _REAL_DATA.items() if (data / real.folder).is_dir()]:
        return names
    folders = ", ".join(real.folder for real in _REAL_DATA.values())
    raise ConfigError(
        f"{data} has none of the folders {folders}",
        remedy="pass --data a folder that has at least one of them",
    )


def _days(config: Settings, pipeline: str, data: Path | None) -> list[date]:
    """Return the days of the demo's nights, oldest first."""
    from jobs.core import params
    from jobs.usecases.discovery import find_usecase

    first, demo = params.first_date(config.params_file, pipeline), find_usecase(pipeline).demo
    last = demo.last_real if data else first + timedelta(days=demo.days - 1)
    return [last - timedelta(days=n) for n in range(_NIGHTS - 1, -1, -1)]


def _run(screen: Screen, config: Settings, wanted: Sequence[Night]) -> dict[Night, str]:
    """Start the nights in order and follow them; return the final state of each."""
    from jobs.cli import nights

    if not wanted:
        screen.say("all nights are published already")
        return {}
    with scheduler(config) as api:
        for dag in {night.dag for night in wanted}:
            nights.await_dag(api, dag)
        runs = {
            night: nights.start(api, night.dag, night.day)
            for night in sorted(wanted, key=lambda night: night.day)
        }
        ended = nights.follow(screen, api, runs)
        for night in (night for night, state in ended.items() if state == "failed"):
            lines = api.log(night.dag, runs[night], "watcher").splitlines()
            screen.say(f"{night} failed", "red")
            screen.say("\n".join([line for line in lines if "failed" in line][:1]))
    return ended


def scheduler(config: Settings) -> AbstractContextManager[Scheduler]:
    """Return a session of the embedded Airflow's API, logged in as its administrator."""
    from jobs.local import airflow, scheduler
    from jobs.local.state import State

    state = State(config.home)
    return scheduler.log_in(airflow.url(state), "admin", airflow.logins(state)["admin"])


def _where(screen: Screen, config: Settings) -> None:
    from jobs.core import schedule
    from jobs.local import airflow
    from jobs.local.state import State

    state = State(config.home)
    screen.say()
    screen.item("Airflow", airflow.url(state))
    screen.item("logins", f"in {airflow.logins_file(state)}")
    screen.item("MLflow", config.mlflow)
    screen.item("schedule", schedule.described(config))
    screen.item("next", ". .venv/bin/activate; nightshift status; README.md, Look things up")
    screen.item("stop", "make down")


def fill(config: Settings, pipeline: str, data: Path | None) -> None:
    """Fill the pipeline's source: simulate from its first date on, or load the folder's files."""
    from jobs.core import params
    from jobs.usecases.discovery import find_usecase

    commands = find_commands(pipeline)
    if data:
        commands.real_data.load(data / commands.real_data.folder)
    else:
        first = datetime.combine(params.first_date(config.params_file, pipeline), time())
        commands.simulate(find_usecase(pipeline).demo.days, first)


def _metrics(screen: Screen, config: Settings, pipeline: str, day: date) -> None:
    """Print the metrics of the champion, and of D's challenger if it was not promoted."""
    from jobs.core.facts import GateFacts, TrainFacts
    from jobs.serving import promotions
    from jobs.stores.lake import Lake

    lake, name = Lake(config.lake), pipeline
    gate = lake.manifest(f"{pipeline}/gate/{day}")
    for champion in promotions.history(config.postgres, pipeline).models[-1:]:
        train = lake.manifest(f"{pipeline}/train/{champion.date}")
        screen.say(
            f"\nModel {name} version {champion.version} is the champion, since {champion.date}."
        )
        if gate is None or gate.model_digest == champion.digest:
            _numbers(
                screen,
                pipeline,
                f"holdout of {champion.date}",
                TrainFacts.of(train).metrics if train else None,
            )
            continue
        facts = GateFacts.of(gate)
        _numbers(screen, pipeline, f"holdout of {day}", facts.champion_metrics)
        screen.say(f"Model {name} version {facts.model_version}, of {day}, was not promoted.")
        _numbers(screen, pipeline, f"holdout of {day}", facts.metrics)
        for reason in facts.reasons:
            if reason.startswith("FAIL"):
                screen.say(f"  {reason}")


def _numbers(screen: Screen, pipeline: str, holdout: str, metrics: Metrics | None) -> None:
    from jobs.usecases.discovery import find_usecase

    if metrics:
        names = find_usecase(pipeline).demo.metrics
        shown = "  ".join(f"{name} {metrics[name]:.3f}" for name in names)
        screen.say(f"  {holdout}: {shown}")


def _answers(screen: Screen, config: Settings, pipeline: str) -> bool:
    """Look up one example per table in both stores; return whether they agree."""
    from jobs.core.text import printable_json
    from jobs.serving import lookup as client
    from jobs.usecases.discovery import find_usecase

    agree, usecase = True, find_usecase(pipeline)
    for table in usecase.predictions:
        if (key := _most(config, table, usecase.demo.order[table.name])) is None:
            screen.say(f"{table.name} is empty")
            agree = False
            continue
        answers = [
            client.lookup(config, pipeline, table, key, store) for store in ("redis", "postgres")
        ]
        same = answers[0] is not None and answers[0] == answers[1]
        agree = agree and same
        verdict = "Redis and PostgreSQL agree" if same else "THE STORES DIFFER"
        screen.say(f"\n{table.name} {' '.join(key)} ({verdict}):")
        for row in _rows(answers[0]):
            screen.say(f"  {printable_json(json.dumps(row, default=str, ensure_ascii=False))}")
    return agree


def _most(config: Settings, table: Table, order: str) -> tuple[str, ...] | None:
    """Return the lookup key of the first row of the served date in this order.

    None if empty.
    """
    from psycopg2.sql import SQL, Identifier

    from jobs.stores import postgres

    view = Identifier(f"{table.name}_current")
    query = SQL(
        "SELECT {key} FROM {view} WHERE date = (SELECT max(date) FROM {view}) "
        "ORDER BY {order}, {key} LIMIT 1"
    ).format(
        key=SQL(", ").join(map(Identifier, table.lookup_key)),
        view=view,
        order=SQL(order),
    )
    with (
        postgres.connect_postgres(config.postgres, "nightshift demo") as session,
        session.cursor() as cursor,
    ):
        cursor.execute(query)
        row = cursor.fetchone()
        return tuple(map(str, row)) if row else None


def _rows(answer: Answer | None) -> list[object]:
    """Return the rows of an answer to show: its only row, or the first five ranked rows."""
    rows = answer.get("rows") if answer else None
    return rows[:5] if isinstance(rows, list) else [answer]
