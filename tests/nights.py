"""Installations for whole nights: own lake, ClickHouse and databases on the session's servers."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg2
import pyarrow.compute as pc
import pytest
import redis
import yaml
from psycopg2.extensions import parse_dsn

from jobs.core import settings
from jobs.core.failpoint import VARIABLE
from jobs.core.identity import Run, days
from jobs.core.manifest import Manifest
from jobs.core.steps import INGEST, STEPS
from jobs.serving import promotions, publications, schema
from jobs.steps import frame
from jobs.steps.records import RECORDS
from jobs.stores import clickhouse
from jobs.stores.lake import Lake
from jobs.usecases.discovery import find_usecase

PIPELINE = "fraud"
FIRST, DAY = date(2018, 4, 1), date(2018, 4, 14)
BEFORE, AFTER = DAY - timedelta(days=1), DAY + timedelta(days=1)
PARAMS: dict[str, Any] = {
    "first_date": FIRST,
    "extract": {"volume_window_days": 3},
    "validate": {"max_bad_fraction": 0.05},
    "snapshot": {"train_days": 7, "gap_days": 2, "holdout_days": 3, "label_delay_days": 2},
    "train": {"n_estimators": 20, "validation_days": 2, "early_stopping_rounds": 5, "max_depth": 4},
    "gate": {"floors": {"roc_auc": 0.0}, "min_margin": -1.0},
    "predict": {"label_delay_days": 2, "score_days": 3},
    "verify": {"sample": 50},
}
# A shorter history is enough for movies; nothing of it depends on the labels of days long ago.
FIRST_MOVIES = DAY - timedelta(days=6)
PARAMS_MOVIES: dict[str, Any] = {
    "first_date": FIRST_MOVIES,
    "validate": {"volume_severity": "warn"},
    "snapshot": {"train_days": 5, "holdout_days": 2},
    "train": {"min_interactions": 2, "ranker_rounds": 5, "validation_users": 100},
    "gate": {"metric": "ndcg_at_10", "min_margin": -1.0},
    "predict": {"history_days": 7},
    "verify": {"sample": 50},
}
DEFAULTS = {"fraud": PARAMS, "movies": PARAMS_MOVIES}
# Slow to import, but opens nothing. chDB and Spark are not listed: they would not survive a fork.
WEIGHTY = [f"jobs.steps.{step}" for step in STEPS] + [
    "jobs.usecases.fraud.model",
    "jobs.usecases.fraud.predictions",
    "jobs.usecases.fraud.report",
    "jobs.usecases.movies.predictions",
    "mlflow.xgboost",
    "mlflow.pyfunc",
    "mlflow.models",
]


@dataclass(frozen=True)
class Place:
    """An installation. Its home holds lake, ClickHouse, DVC registry and params.yaml."""

    home: Path
    source: str
    postgres: str
    redis: str
    pipeline: str = PIPELINE

    @property
    def environment(self) -> dict[str, str]:
        return {
            "NIGHTSHIFT_HOME": str(self.home),
            "NIGHTSHIFT_PARAMS": str(self.home / "params.yaml"),
            settings.SOURCE: self.source,
            settings.POSTGRES: self.postgres,
            settings.REDIS: self.redis,
        }

    @contextmanager
    def settings(self, **more: str) -> Iterator[settings.Settings]:
        """The settings of this installation, in the environment of this process."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in (self.environment | more).items():
                patch.setenv(name, value)
            yield settings.load()

    def set_params(self, **sections: dict[str, Any]) -> None:
        """Change keys of sections, and leave the others as they are."""
        file = self.home / "params.yaml"
        every = yaml.safe_load(file.read_text()) if file.exists() else {}
        known = every.get(self.pipeline, DEFAULTS[self.pipeline])
        changed = {name: {**known.get(name, {}), **section} for name, section in sections.items()}
        file.write_text(yaml.safe_dump(every | {self.pipeline: known | changed}))

    def run(self, step: str, day: date = DAY, **options: Any) -> Manifest:
        with self.settings() as config, warnings.catch_warnings():
            # MLflow warns of its own type hints when it is imported.
            warnings.filterwarnings("ignore", ".*Any type hint is inferred", UserWarning)
            warnings.filterwarnings("ignore", category=UserWarning, module="mlflow")
            return frame.execute(Run(self.pipeline, step, day), config, **options)

    def ingest(self, first: date, last: date) -> None:
        for day in days(first, last):
            for step in INGEST:
                self.run(step, day)

    def start(
        self, step: str, day: date = DAY, environment: dict[str, str] | None = None, **options: Any
    ) -> Any:
        """Start a step in its own process.

        It is forked from one that has imported the steps but opened nothing.
        """
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(WEIGHTY)
        log = self.home / f"{step}.log"
        # The fork server keeps the environment of its first caller, so each child receives this
        # one.
        variables = dict(os.environ) | self.environment | (environment or {})
        process = context.Process(
            target=_child, args=(self.pipeline, step, day, variables, options, log)
        )
        process.start()
        return process

    def kill(self, step: str, point: str, day: date = DAY, **options: Any) -> None:
        """Run a step in a process of its own and see it die at the failpoint."""
        process = self.start(step, day, {VARIABLE: point}, **options)
        process.join(300)
        assert process.exitcode == -signal.SIGKILL, (
            f"{point}: {process.exitcode} {(self.home / f'{step}.log').read_text()}"
        )

    def nightshift(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """The command line, in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "jobs", *arguments],
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=settings.PROJECT,
            env=os.environ | self.environment | environment,
        )

    @property
    def lake(self) -> Lake:
        return Lake(str(self.home / "lake"))

    def manifest(self, step: str, day: date = DAY) -> Manifest | None:
        return self.lake.manifest(f"{self.pipeline}/{step}/{day}")

    def query(self, statement: str, dsn: str = "") -> list[tuple[Any, ...]]:
        """Rows of a statement on the serving database, or another."""
        with (
            closing(psycopg2.connect(dsn or self.postgres)) as session,
            session,
            session.cursor() as cursor,
        ):
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def upstream(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement on the operational database."""
        return self.query(statement, self.source)

    def stale(self) -> set[tuple[str, date]]:
        """(step, day) of what was made from something that has changed since."""
        manifests = [
            manifest
            for step in self.lake.steps(self.pipeline)
            for day in self.lake.days(self.pipeline, step)
            if (manifest := self.manifest(step, day))
        ]
        current = {each.name: each.content for each in manifests}
        return {
            (each.step, each.date)
            for each in manifests
            if any(current[name] != content for name, content in each.reads.items())
        }

    def digests(self) -> dict[str, Any]:
        """What all stores hold, by content: whatever a re-run must not change."""
        return self.lake_digests() | self.clickhouse_digests() | self.serving()

    def lake_digests(self) -> dict[str, Any]:
        digests = {}
        for step in self.lake.steps(self.pipeline):
            for day in self.lake.days(self.pipeline, step):
                manifest = self.manifest(step, day)
                assert manifest
                fixed = {
                    name: manifest.facts.get(name)
                    for name in ("snapshot_md5", "model_version", "verdict")
                }
                digests[manifest.name] = (manifest.content, sorted(manifest.reads.items()), fixed)
        return digests

    def clickhouse_digests(self) -> dict[str, Any]:
        every = (
            *find_usecase(self.pipeline).aggregates,
            *find_usecase(self.pipeline).predictions,
            *RECORDS,
        )
        with self.settings() as config, clickhouse.connect_clickhouse(config) as db:
            read = {
                table: db.read(self.pipeline, table, db.days(self.pipeline, table))
                for table in every
            }
        return {
            f"{table.name} {day}": table.digest(rows.filter(pc.equal(rows["date"], day)))
            for table, rows in read.items()
            for day in sorted(set(rows["date"].to_pylist()))
        }

    def serving(self) -> dict[str, Any]:
        """Publications, pointers, champions, and all rows of the current views and Redis."""
        return self.published() | {"redis": self.redis_content()}

    def published(self) -> dict[str, Any]:
        """What PostgreSQL has of `serving`."""
        with schema.connect_serving_database(self.postgres) as session:
            served = publications.served(session, self.pipeline)
            states = {
                each.version: each.state for each in publications.every(session, self.pipeline)
            }
        champions = [
            (row.date, row.kind, row.from_digest, row.to_digest, row.verdict)
            for row in promotions.history(self.postgres, self.pipeline)
        ]
        shown = {}
        for table in find_usecase(self.pipeline).predictions:
            view = f"{table.name}_current"
            if self.query(f"SELECT to_regclass('{view}') IS NOT NULL") == [(True,)]:
                shown[view] = sorted(map(str, self.query(f"SELECT * FROM {view}")))
        return {
            "served": served and (served.version, served.previous),
            "publications": states,
            "promotions": champions,
            "rows": shown,
        }

    def empty_redis(self) -> None:
        with closing(redis.Redis.from_url(self.redis)) as client:
            client.flushdb()

    def redis_content(self) -> tuple[str | None, dict[str, str]]:
        """The pointer, and every document of the version that it names."""
        with closing(redis.Redis.from_url(self.redis, decode_responses=True)) as client:
            pointer = client.get(f"ns:{self.pipeline}:current")
            names = sorted(client.scan_iter(match=f"ns:{self.pipeline}:{pointer}:*", count=5000))
            return pointer, dict(zip(names, client.mget(names), strict=True)) if names else {}


@dataclass(frozen=True)
class Moment:
    """The state of an installation, kept to be copied."""

    home: Path
    source: str
    postgres: str
    keys: dict[bytes, bytes]  # of Redis, as DUMP gives them
    documents: tuple[str | None, dict[str, str]]  # of Redis, as `redis_content` gives them
    pipeline: str

    @cached_property
    def digests(self) -> dict[str, Any]:
        """The digests of the installation at the moment, read when a test first asks."""
        kept = Place(self.home, self.source, self.postgres, "", self.pipeline)
        stores = kept.lake_digests() | kept.clickhouse_digests() | kept.published()
        return stores | {"redis": self.documents}


def keep(place: Place, home: Path, postgres: str) -> Moment:
    """The state that `place` is in; `postgres` was made from its database as the template."""
    _copy_home(place.home, home)
    with closing(redis.Redis.from_url(place.redis)) as client:
        keys = {
            key: client.dump(key)
            for key in client.scan_iter(match=f"ns:{place.pipeline}:*", count=5000)
        }
    return Moment(home, place.source, postgres, keys, place.redis_content(), place.pipeline)


def resume(moment: Moment, home: Path, postgres: str, redis_url: str) -> Place:
    """An installation in the state of `moment`, as `keep` took it."""
    _copy_home(moment.home, home)
    with closing(redis.Redis.from_url(redis_url)) as client, client.pipeline() as pipe:
        pipe.flushdb()
        for key, value in moment.keys.items():
            pipe.restore(key, 0, value)
        pipe.execute()
    return Place(home, moment.source, postgres, redis_url, moment.pipeline)


def _copy_home(origin: Path, home: Path) -> None:
    ignore = shutil.ignore_patterns("tmp", "logs", "*.log")
    shutil.copytree(origin, home, symlinks=True, dirs_exist_ok=True, ignore=ignore)


def database_of(dsn: str) -> str:
    return str(parse_dsn(dsn)["dbname"])


def _child(
    pipeline: str,
    step: str,
    day: date,
    environment: dict[str, str],
    options: dict[str, Any],
    log: Path,
) -> None:
    from jobs.core import log as logging

    os.environ.clear()
    os.environ.update(environment)
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    logging.set_up()
    frame.execute(Run(pipeline, step, day), settings.load(), **options)
