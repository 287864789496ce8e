"""Migrate every store to the schema of this code, in numbered steps that the store records.

Failpoints: `<store>.<name of the migration>.applied`, between a change and its record.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import cast

from psycopg2.errors import LockNotAvailable

from jobs.core import locks
from jobs.core.errors import StoreError
from jobs.core.failpoint import failpoint
from jobs.core.pipelines import PIPELINES
from jobs.core.settings import Settings
from jobs.migrations.types import Module, Say
from jobs.serving import schema
from jobs.stores import clickhouse, postgres, postgres_versions, redis
from jobs.stores.lake import Lake
from jobs.stores.versions import STORES, Migration, Store, migrations, needed, require_not_newer
from jobs.usecases.discovery import find_usecase

_OWNER = "nightshift migrate"
_TRIES, _PAUSE_SECONDS = 60, 1.0


def versions(settings: Settings) -> dict[Store, int | None]:
    """Return the schema version per store, None for an empty or foreign one.

    ConfigError if a store is newer than this code.
    """
    numbers = {store: _VERSION[store](settings) for store in STORES}
    for store, number in numbers.items():
        require_not_newer(store, number or 0)
    return numbers


def pending(settings: Settings) -> list[Migration]:
    """Return what `migrate` would apply, in order.

    An empty store gets the newest schema when it is first written to.
    """
    return [
        migration
        for store, number in versions(settings).items()
        if number is not None
        for migration in migrations(store)
        if migration.number > number
    ]


def migrate(settings: Settings, say: Say) -> list[Migration]:
    """Apply and return the pending migrations; one process at a time, and a killed one resumes."""
    if not pending(settings):
        return []
    with locks.hold(settings.postgres, "migrate", _OWNER):
        applied = pending(settings)
        for migration in applied:
            say(str(migration))
            with _writers_out(settings, migration.store):
                _apply(settings, migration, say)
    return applied


def _apply(settings: Settings, migration: Migration, say: Say) -> None:
    if migration.file.suffix == ".sql":
        _patiently(lambda: _in_one_transaction(settings, migration))
        return
    module = importlib.import_module(f"jobs.migrations.{migration.store}.{migration.name}")
    cast(Module, module).apply(settings, say)
    failpoint(f"{migration.store}.{migration.name}.applied")
    _RECORD[migration.store](settings, migration)


def _in_one_transaction(settings: Settings, migration: Migration) -> None:
    with (
        postgres.connect_postgres(_dsn(settings, migration.store), _OWNER) as session,
        session,
        session.cursor() as cursor,
    ):
        # A statement that waits for a reader also blocks all later readers.
        cursor.execute("SET LOCAL lock_timeout = '1s'; SET LOCAL client_min_messages = warning")
        cursor.execute(migration.file.read_text())
        failpoint(f"{migration.store}.{migration.name}.applied")
        postgres_versions.record(cursor, migration)


def _patiently(change: Callable[[], None]) -> None:
    """Make the change; retry while a reader's lock prevents it."""
    for attempt in range(_TRIES):
        try:
            return change()
        except StoreError as error:
            if not isinstance(error.__cause__, LockNotAvailable) or attempt == _TRIES - 1:
                raise
        time.sleep(_PAUSE_SECONDS)


@contextmanager
def _writers_out(settings: Settings, store: Store) -> Iterator[None]:
    """Hold the pipelines' locks while a serving store changes, against publishes and rollbacks."""
    with ExitStack() as stack:
        for pipeline in PIPELINES if store in ("serving", "redis") else ():
            stack.enter_context(locks.hold(settings.postgres, pipeline, _OWNER))
        yield


def _dsn(settings: Settings, store: Store) -> str:
    return settings.source if store == "source" else settings.postgres


def _source_version(settings: Settings) -> int | None:
    """Return the source's version; None also for tables of another owner, who migrates them."""
    tables = [source.name for name in PIPELINES for source in find_usecase(name).sources]
    with postgres.connect_postgres(settings.source, _OWNER) as session:
        with session.cursor() as cursor:
            cursor.execute(
                "SELECT bool_or(pg_has_role(relowner, 'USAGE')) FROM pg_class"
                " JOIN unnest(%s) AS name ON oid = to_regclass(name)",
                (tables,),
            )
            (ours,) = cursor.fetchone() or (False,)
        return postgres_versions.version(session, "source", *tables) if ours else None


def _clickhouse_version(settings: Settings) -> int | None:
    folder = settings.clickhouse.removeprefix("chdb://")
    if folder != settings.clickhouse and not Path(folder).exists():
        return None
    with clickhouse.connect_clickhouse(settings, check=False) as db:
        return db.schema_version()


def _serving_version(settings: Settings) -> int | None:
    with postgres.connect_postgres(settings.postgres, _OWNER) as session:
        return schema.version(session)


def _redis_version(settings: Settings) -> int | None:
    """Return the newest version of a pipeline if it is newer than this code's, else the oldest."""
    versions = []
    for pipeline in PIPELINES:
        with redis.connect_redis(settings.redis, pipeline) as keys:
            versions.append(keys.schema_version())
    numbers = [number for number in versions if number is not None]
    if not numbers:
        return None
    return max(numbers) if max(numbers) > needed("redis") else min(numbers)


def _record_in_postgres(settings: Settings, migration: Migration) -> None:
    with (
        postgres.connect_postgres(_dsn(settings, migration.store), _OWNER) as session,
        session,
        session.cursor() as cursor,
    ):
        postgres_versions.record(cursor, migration)


def _record_in_clickhouse(settings: Settings, migration: Migration) -> None:
    with clickhouse.connect_clickhouse(settings, check=False) as db:
        db.record(migration)


def _record_in_redis(settings: Settings, migration: Migration) -> None:
    for pipeline in PIPELINES:
        with redis.connect_redis(settings.redis, pipeline) as keys:
            keys.set_schema_version(migration.number)


_VERSION: dict[Store, Callable[[Settings], int | None]] = {
    "source": _source_version,
    "lake": lambda settings: Lake(settings.lake).schema_version(),
    "clickhouse": _clickhouse_version,
    "serving": _serving_version,
    "redis": _redis_version,
}
_RECORD: dict[Store, Callable[[Settings, Migration], None]] = {
    "source": _record_in_postgres,
    "lake": lambda settings, migration: Lake(settings.lake).set_schema_version(migration.number),
    "clickhouse": _record_in_clickhouse,
    "serving": _record_in_postgres,
    "redis": _record_in_redis,
}
