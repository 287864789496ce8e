"""Where everything is: the environment, resolved in this one place.

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
    """The URLs of one installation. A property raises ConfigError, with a remedy, when its URL is unknown."""

    home: Path
    params_file: Path

    @property
    def endpoints_file(self) -> Path:
        """URLs of the embedded services while they run; mode 0600, because they hold passwords."""
        return self.home / "endpoints.json"

    @property
    def schedule_file(self) -> Path:
        """Why no night starts by itself; empty where somebody switched the schedule on."""
        return self.home / "schedule.txt"

    def url(self, name: str, default: str | None = None) -> str:
        """The URL called `name`: environment, then the embedded services, then `default`."""
        if found := os.environ.get(name) or self._endpoints().get(name) or default:
            return _learned(name, found)
        raise ConfigError(
            f"{name} is not set and no embedded services run under {self.home}",
            remedy=f"start them with `make up` (or `nightshift up`), or set {name}",
        )

    def _endpoints(self) -> dict[str, str]:
        try:
            found: dict[str, str] = json.loads(self.endpoints_file.read_text())
            return found
        except FileNotFoundError:
            return {}
        except ValueError:
            raise ConfigError(
                f"{self.endpoints_file} is not JSON",
                remedy="write it anew with `make down` and `make up`",
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
        """Where Airflow runs steps: as processes of its worker, or, those with a size in params, as pods."""
        found = self.url(RUNNER, "local")
        if found not in ("local", "kubernetes"):
            raise ConfigError(f"{RUNNER} is {found!r}", remedy="set it to local or kubernetes")
        return cast(Literal["local", "kubernetes"], found)


def _learned(name: str, address: str) -> str:
    """The address, its password masked from now on; ConfigError where libraries would read parts of it as a host."""
    masking.learn(address)
    if masking.ambiguous(address):
        raise ConfigError(
            f"the login in {name} holds a `/`, `?` or `#`",
            remedy="write them percent-encoded, as %2F, %3F and %23",
        )
    return address


def load() -> Settings:
    """Settings of this process: `NIGHTSHIFT_HOME` moves the state, `NIGHTSHIFT_PARAMS` the parameters."""
    return Settings(
        home=Path(os.environ.get("NIGHTSHIFT_HOME") or PROJECT / ".nightshift").absolute(),
        params_file=Path(os.environ.get("NIGHTSHIFT_PARAMS") or PROJECT / "params.yaml").absolute(),
    )
