"""`nightshift migrate`: migrate the stores to the schema of this release."""

from __future__ import annotations

from typing import Annotated

import typer


def migrate(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the migrations; change nothing.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit with 78 when a store is behind.")
    ] = False,
) -> None:
    """Migrate every store to this release: source, lake, ClickHouse, PostgreSQL and Redis.

    Lookups keep working meanwhile. A second call at the same time waits, then has nothing left to
    do; a killed one resumes when it runs again. `nightshift up` migrates as well.

    Example: nightshift migrate --dry-run
    """
    from jobs.core import settings
    from jobs.core.errors import ConfigError
    from jobs.migrations import run

    config = settings.load()
    changes = run.pending(config) if dry_run or check else run.migrate(config, typer.echo)
    if not changes:
        typer.echo("every store has the schema of this release")
    elif check:
        raise ConfigError(
            f"{len(changes)} migrations of this release are pending: "
            f"{', '.join(map(str, changes))}",
            remedy="run `nightshift migrate`; lookups keep working meanwhile",
        )
    elif dry_run:
        for change in changes:
            typer.echo(f"would apply {change}")
    else:
        typer.echo(f"applied {len(changes)} migrations")
