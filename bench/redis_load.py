"""Load a table of risk into Redis: commands packed by pyarrow against commands packed by redis-py.

redis-py packs and parses with hiredis where that is installed. Both sides read back what they wrote
before they mark the version as complete.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import date
from functools import partial
from itertools import chain
from pathlib import Path

import pyarrow as pa
import redis
from redis.utils import HIREDIS_AVAILABLE

from jobs.core.settings import Settings
from jobs.stores import redis as store
from jobs.usecases.discovery import find_usecase

NAME, ROWS = "publish a table to Redis", 200_000
OTHER = "redis-py with hiredis" if HIREDIS_AVAILABLE else "redis-py"
CHUNK = 1_000


class PackedByLibrary(store.Redis):
    """The same load with the packer and the parser of redis-py."""

    def _send(self, command: bytes, columns: Sequence[pa.Array]) -> list[object]:
        texts = list(zip(*(column.to_pylist() for column in columns), strict=True))
        pipe = self.client.pipeline(transaction=False)
        for start in range(0, len(texts), CHUNK):
            arguments = chain.from_iterable(texts[start : start + CHUNK])
            pipe.execute_command(command.decode(), *arguments)
        return pipe.execute()


def sides(config: Settings, _folder: Path) -> tuple[Callable[[], None], Callable[[], None]]:
    table = find_usecase("fraud").prediction("customer_risk")
    rows = pa.table(
        [
            [date(2018, 7, 10)] * ROWS,
            [f"{n:07d}" for n in range(ROWS)],
            [n % 20 for n in range(ROWS)],
            [n / ROWS for n in range(ROWS)],
            [n / ROWS for n in range(ROWS)],
            [0] * ROWS,
            [n % 30 for n in range(ROWS)],
        ],
        schema=table.schema,
    )
    digests = {table.name: table.digest(rows)}

    def load(packer: type[store.Redis]) -> None:
        with closing(redis.Redis.from_url(config.redis, decode_responses=True)) as client:
            client.flushdb()
            checks = packer(client, "fraud").load("20180710-bench", {table: rows}, digests)
            assert all(check.passed for check in checks)

    return partial(load, store.Redis), partial(load, PackedByLibrary)
