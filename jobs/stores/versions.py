"""Schema versions: the number of a store's newest migration, compared with what this code needs.

A migration is a file `NNNN_what_changes.sql` or `.py` in jobs/migrations/<store>/, numbered from
0001 without gaps.
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
    """One numbered change of a store; `name` is its file name without the extension."""

    store: Store
    number: int
    name: str
    file: Path

    def __str__(self) -> str:
        return f"{self.store} {self.name}"


@cache
def migrations(store: Store) -> tuple[Migration, ...]:
    """Return the migrations of a store in order of their numbers."""
    files = sorted((FOLDER / store).glob("[0-9][0-9][0-9][0-9]_*.*"))
    return tuple(
        Migration(store, int(file.name[:4]), file.stem, file) for file in files if file.is_file()
    )


def needed(store: Store) -> int:
    """Return the version that this code reads and writes."""
    return migrations(store)[-1].number


def require(store: Store, number: int) -> None:
    """Raise ConfigError unless the store has the version that this code needs."""
    if number < needed(store):
        raise ConfigError(
            f"{store} has schema version {number}, and this code needs version {needed(store)}",
            remedy="run `nightshift migrate`; lookups keep working meanwhile",
        )
    require_not_newer(store, number)


def require_not_newer(store: Store, number: int) -> None:
    """Raise ConfigError if a newer release has migrated the store."""
    if number > needed(store):
        raise ConfigError(
            f"{store} has schema version {number}, "
            f"and this code supports only up to version {needed(store)}",
            remedy="install the newer release that ran `nightshift migrate` here, or a later one",
        )
