"""The prepared nights of a test run: made once, by the first process that needs them, and copied.

A night is more than its files: PostgreSQL has its tables, and MLflow its models. So the image has
the data of these services too, and the services of every process start on a copy of it.
"""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock

from jobs.local import place, postgres
from jobs.local.state import State
from nights import Moment, database_of


@dataclass(frozen=True)
class Image:
    """A folder with the data of services, and the moments of nights by pipeline and step."""

    folder: Path

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def moments(self) -> Path:
        return self.folder / "moments"

    def require(self, make):
        """Call `make(image)` unless a process of this run has made the image."""
        with FileLock(self.folder.with_suffix(".lock")):
            if not self._nights.exists():
                shutil.rmtree(self.folder, ignore_errors=True)
                self.moments.mkdir(parents=True)
                make(self)

    def write(self, nights: dict[str, dict[str, Moment]]):
        """Record the moments by pipeline and step; the image is complete with them."""
        self._nights.write_bytes(pickle.dumps(nights))

    def take_data(self):
        """Move PostgreSQL's data, which is elsewhere for root, into the image; it must be down."""
        state = State(self.home)
        shutil.move(place.folder(state) / "postgres", self.folder / "postgres")
        postgres.purge(state)

    def restore(self, home: Path, folder: Path) -> dict[str, dict[str, Moment]]:
        """Copy the data into `home`, where no service may run, and the nights into `folder`."""
        state = State(home)
        for name in ("secrets.json", "mlflow"):
            _copy(self.home / name, home / name)
        data = place.folder(state) / "postgres"
        if place.user() is not None:
            place.copy_programs(state)
            (home / "postgres").symlink_to(data)
        _copy(self.folder / "postgres", data)
        _copy(self.moments, folder)
        nights = pickle.loads(self._nights.read_bytes())
        return {
            pipeline: {step: _moved(moment, state, folder) for step, moment in night.items()}
            for pipeline, night in nights.items()
        }

    @property
    def _nights(self) -> Path:
        return self.folder / "nights.pickle"


def _copy(origin, target):
    """With owners and modes."""
    subprocess.run(["cp", "-a", origin, target], check=True)


def _moved(moment, state, folder):
    return replace(
        moment,
        home=folder / moment.home.name,
        source=postgres.dsn(state, database_of(moment.source), "source"),
        postgres=postgres.dsn(state, database_of(moment.postgres), "serving"),
    )


def shared_folder(tmp_path_factory) -> Path:
    """A folder that all processes of this run share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
