"""Load a table of risk into Redis: our chunks of RESP against a redis-py pipeline of SETs.

Ours also reads back what it wrote before it marks the version as complete; the pipeline does not.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pyarrow as pa
import redis

from jobs.core.settings import Settings
from jobs.stores import redis as store
from jobs.usecases.discovery import find_usecase

NAME, OTHER, ROWS = "publish a table to Redis", "redis-py pipeline, 10,000 SETs a trip", 200_000
BATCH = 10_000


def sides(config: Settings, folder: Path) -> tuple[Callable[[], None], Callable[[], None]]:
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

    def ours() -> None:
        with store.connect(config.redis, "fraud") as keys:
            keys.client.flushdb()
            assert all(
                check.passed for check in keys.load("20180710-bench", {table: rows}, digests, BATCH)
            )

    def theirs() -> None:
        client = redis.Redis.from_url(config.redis)
        client.flushdb()
        pipe = client.pipeline(transaction=False)
        for number, row in enumerate(rows.to_pylist(), 1):
            pipe.set(f"ns:fraud:v:customer_risk:{row['customer_id']}", json.dumps(row, default=str))
            if number % BATCH == 0:
                pipe.execute()
        pipe.execute()
        client.close()

    return ours, theirs
