"""Schema versions: the number of the newest migration that a store has, compared with what this code needs.

A migration is a file of jobs/migrations/<store>/, `NNNN_what_changes.sql` or `.py`, without gaps from 0001 on.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, get_args

from jobs.core.errors import ConfigError

Store = Literal["source", "lake", "clickhouse", "serving", "redis"]
STORES: tuple[Store, ...] = get_args(Store)  # in the order in which they migrate
FOLDER = Path(__file__).parents[1] / "migrations"


@dataclass(frozen=True)
class Migration:
    """One numbered change of a store. `name` is that of its file, without the ending."""

    store: Store
    number: int
    name: str
    file: Path

    def __str__(self) -> str:
        return f"{self.store} {self.name}"


@cache
def migrations(store: Store) -> tuple[Migration, ...]:
    """Every migration of a store, in the order of their numbers."""
    files = sorted((FOLDER / store).glob("[0-9][0-9][0-9][0-9]_*.*"))
    return tuple(
        Migration(store, int(file.name[:4]), file.stem, file) for file in files if file.is_file()
    )


def needed(store: Store) -> int:
    """The version that this code reads and writes."""
    return migrations(store)[-1].number


def require(store: Store, number: int) -> None:
    """ConfigError unless the store is at the version that this code needs."""
    if number < needed(store):
        raise ConfigError(
            f"{store} has schema version {number}, and this code needs version {needed(store)}",
            remedy="run `nightshift migrate`; what is served stays served meanwhile",
        )
    require_not_newer(store, number)


def require_not_newer(store: Store, number: int) -> None:
    """ConfigError when a newer release has migrated the store."""
    if number > needed(store):
        raise ConfigError(
            f"{store} has schema version {number}, and this code knows only up to version {needed(store)}",
            remedy="a newer release has run `nightshift migrate` here: install that release, or a later one",
        )
