"""Addresses of all stores and services, and the folders of the installation.

A URL comes from the environment, else from `endpoints.json`, which `nightshift up` writes for the
embedded services, else from a default that needs no service. Nothing is read at import time.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from jobs.core import masking
from jobs.core.errors import ConfigError

PROJECT = Path(__file__).resolve().parents[2]

LAKE = "NIGHTSHIFT_LAKE_URL"
CLICKHOUSE = "NIGHTSHIFT_CLICKHOUSE_DSN"
SOURCE = "NIGHTSHIFT_SOURCE_DSN"
POSTGRES = "NIGHTSHIFT_POSTGRES_DSN"
REDIS = "NIGHTSHIFT_REDIS_URL"
MLFLOW = "MLFLOW_TRACKING_URI"
AIRFLOW_DB = "NIGHTSHIFT_AIRFLOW_DSN"
SPARK_MASTER = "NIGHTSHIFT_SPARK_MASTER"
RUNNER = "NIGHTSHIFT_RUNNER"


@dataclass(frozen=True)
class Settings:
    """The URLs of one installation; a property raises ConfigError when its URL is unknown."""

    home: Path
    params_file: Path

    @property
    def endpoints_file(self) -> Path:
        """Path of the embedded services' URLs while they run.

        Mode 0600, since they hold passwords.
        """
        return self.home / "endpoints.json"

    @property
    def schedule_file(self) -> Path:
        """Path of the file with the reason why the schedule is off.

        Empty once it was switched on.
        """
        return self.home / "schedule.txt"

    def url(self, name: str, default: str | None = None) -> str:
        """Return the URL `name`: environment, else the embedded services, else `default`."""
        if url := os.environ.get(name) or self._endpoints().get(name) or default:
            return _learned(name, url)
        raise ConfigError(
            f"{name} is not set and no embedded services run under {self.home}",
            remedy=f"start them with `make up` (or `nightshift up`), or set {name}",
        )

    def _endpoints(self) -> dict[str, str]:
        try:
            endpoints: dict[str, str] = json.loads(self.endpoints_file.read_text())
            return endpoints
        except FileNotFoundError:
            return {}
        except ValueError:
            raise ConfigError(
                f"{self.endpoints_file} is not JSON",
                remedy="write it again with `make down` and `make up`",
            ) from None

    @property
    def lake(self) -> str:
        return self.url(LAKE, str(self.home / "lake"))

    @property
    def clickhouse(self) -> str:
        return self.url(CLICKHOUSE, f"chdb:///{self.home / 'clickhouse'}")

    @property
    def source(self) -> str:
        return self.url(SOURCE)

    @property
    def postgres(self) -> str:
        return self.url(POSTGRES)

    @property
    def redis(self) -> str:
        return self.url(REDIS)

    @property
    def mlflow(self) -> str:
        return self.url(MLFLOW)

    @property
    def spark_master(self) -> str:
        return self.url(SPARK_MASTER, "local[*]")

    @property
    def runner(self) -> Literal["local", "kubernetes"]:
        """How Airflow runs steps: as worker processes, or as pods if params give them a size."""
        runner = self.url(RUNNER, "local")
        if runner not in ("local", "kubernetes"):
            raise ConfigError(f"{RUNNER} is {runner!r}", remedy="set it to local or kubernetes")
        return cast(Literal["local", "kubernetes"], runner)


def _learned(name: str, address: str) -> str:
    """Return the address and mask its password from now on.

    ConfigError if libraries would read a part of its login as the host.
    """
    masking.learn(address)
    if masking.ambiguous(address):
        raise ConfigError(
            f"the login in {name} contains a `/`, `?` or `#`",
            remedy="percent-encode them as %2F, %3F and %23",
        )
    return address


def load() -> Settings:
    """Return this process's settings; NIGHTSHIFT_HOME and NIGHTSHIFT_PARAMS change the paths."""
    return Settings(
        home=Path(os.environ.get("NIGHTSHIFT_HOME") or PROJECT / ".nightshift").absolute(),
        params_file=Path(os.environ.get("NIGHTSHIFT_PARAMS") or PROJECT / "params.yaml").absolute(),
    )
