"""Redis: the served version and the previous one, for lookups by key.

    ns:<pipeline>:current                   the served version: the only key that a flip changes
    ns:<pipeline>:<version>:<table>:<id>    a row, or the ranked rows, as JSON (see documents.py)
    ns:<pipeline>:<version>                 hash table -> "<rows> <digest>", written last, when the
                                            version is complete
    ns:<pipeline>:versions                  set of all versions that may have keys
    ns:<pipeline>:schema                    number of the newest migration: layout of the documents

A version has only its own day of an event table. Failpoints: redis.loading, redis.loaded,
redis.unlinking.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc
import redis

from jobs.core.checks import Check, equal
from jobs.core.errors import ConfigError
from jobs.core.failpoint import failpoint
from jobs.core.failures import explain
from jobs.core.tables import Table
from jobs.stores.documents import entries, sampled

BATCH = 10_000
_COMMAND_KEYS = 1_000  # keys per command: Redis serves no other client while it runs one
_SAMPLE = 200
_TEXT = pa.large_string()


class Redis:
    """The keys of one pipeline."""

    def __init__(self, client: redis.Redis, pipeline: str) -> None:
        self.client, self.pipeline = client, pipeline

    def served(self) -> str | None:
        """Return the version that lookups read; None before the first flip."""
        return cast("str | None", self.client.get(self._name("current")))

    def get(self, version: str, table: Table, identifier: str) -> str | None:
        """Return the document of this id in one version; None if there is none."""
        return cast("str | None", self.client.get(self._name(version, table.name, identifier)))

    def versions(self) -> set[str]:
        """Return the versions that may have keys, complete or not."""
        return cast("set[str]", self.client.smembers(self._name("versions")))

    def schema_version(self) -> int | None:
        """Return the schema version: 0 from a release without versions, None without keys."""
        if (number := self.client.get(self._name("schema"))) is not None:
            return int(cast(str, number))
        return 0 if self.versions() else None

    def set_schema_version(self, number: int) -> None:
        self.client.set(self._name("schema"), number)

    def reload_later(self, version: str) -> None:
        """Mark a version as incomplete, so that it is loaded again over its keys."""
        self.client.delete(self._name(version))

    def complete(self, version: str, counts: Mapping[str, int], digests: Mapping[str, str]) -> bool:
        """Whether exactly this content was loaded completely and not dropped since."""
        return cast("dict[str, str]", self.client.hgetall(self._name(version))) == _meta(
            counts, digests
        )

    def load(
        self,
        version: str,
        contents: Mapping[Table, pa.Table],
        digests: Mapping[str, str],
        batch: int = BATCH,
    ) -> list[Check]:
        """Write every row, read it back, then mark the version as complete; return the checks.

        A failed check leaves the version incomplete. Keys of a killed load are overwritten, since a
        version has only one content.
        """
        self.refuse_eviction()
        self.client.sadd(self._name("versions"), version)
        self.client.delete(self._name(version))
        checks = [
            check
            for table, rows in contents.items()
            for check in self._load_table(version, table, rows, batch)
        ]
        failpoint("redis.loaded")
        if all(check.passed for check in checks):
            counts = {table.name: rows.num_rows for table, rows in contents.items()}
            self.client.hset(
                self._name(version), mapping=cast("dict[Any, Any]", _meta(counts, digests))
            )
        return checks

    def refuse_eviction(self) -> None:
        """Raise ConfigError if the server would evict served keys once its memory is full.

        Our keys never expire, so the policies `volatile-*` do not evict them.
        """
        memory = self.client.info("memory")
        policy = str(memory.get("maxmemory_policy", ""))
        if memory.get("maxmemory") and policy.startswith("allkeys"):
            raise ConfigError(
                "Redis would drop served rows once its memory is full: "
                f"its maxmemory-policy is {policy}",
                remedy="set it to noeviction: redis-cli CONFIG SET maxmemory-policy noeviction, "
                "and in redis.conf",
            )

    def missing(self, version: str, table: Table, rows: pa.Table, batch: int = BATCH) -> int:
        """Return how many documents of the rows have no key."""
        missing = 0
        for ids, _ in entries(rows, table, batch):
            missing += len(ids) - sum(
                cast("list[int]", self._send(b"EXISTS", [self._keys(version, table, ids)]))
            )
        return missing

    def differing(self, version: str, table: Table, rows: pa.Table, batch: int = BATCH) -> int:
        """Return how many documents of the rows are missing or differ."""
        differing = 0
        for ids, documents in entries(rows, table, batch):
            held = cast(
                "list[str | None]", self.client.mget(self._keys(version, table, ids).to_pylist())
            )
            differing += sum(a != b for a, b in zip(held, documents.to_pylist(), strict=True))
        return differing

    def point(self, version: str) -> None:
        """Flip: lookups read `version` from now on."""
        self.client.set(self._name("current"), version)

    def drop(self, version: str) -> None:
        """Unlink a version in batches.

        Mark it as incomplete first, so that no half version is used.
        """
        self.client.delete(self._name(version))
        keys = self.client.scan_iter(match=self._name(version, "*"), count=BATCH)
        while part := list(islice(keys, _COMMAND_KEYS)):
            self.client.unlink(*part)
            failpoint("redis.unlinking")
        self.client.srem(self._name("versions"), version)

    def _load_table(self, version: str, table: Table, rows: pa.Table, batch: int) -> list[Check]:
        for ids, documents in entries(rows, table, batch):
            self._send(b"MSET", [self._keys(version, table, ids), documents])
            failpoint("redis.loading")
        sample = sampled(rows, table, version, _SAMPLE)
        return [
            equal(f"redis.{table.name}.missing", self.missing(version, table, rows, batch), 0),
            equal(
                f"redis.{table.name}.differing",
                self.differing(version, table, sample),
                0,
                "of a sample",
            ),
        ]

    def _send(self, command: bytes, columns: Sequence[pa.Array]) -> list[object]:
        """Send `command` with the rows of `columns` in one round trip; return the replies."""
        # redis-py packs and parses every argument, also with hiredis: docs/decisions/0022.
        pool = self.client.connection_pool
        link: Any = pool.get_connection()
        try:
            starts = range(0, len(columns[0]), _COMMAND_KEYS)
            link.send_packed_command(
                [_packed(command, [c.slice(at, _COMMAND_KEYS) for c in columns]) for at in starts]
            )
            return [link.read_response() for _ in starts]
        except BaseException:
            link.disconnect()  # unread replies must not answer the next command
            raise
        finally:
            pool.release(link)

    def _keys(self, version: str, table: Table, ids: pa.Array) -> pa.Array:
        prefix = pa.scalar(self._name(version, table.name, ""), _TEXT)
        return pc.binary_join_element_wise(prefix, ids, pa.scalar("", _TEXT))

    def _name(self, *parts: str) -> str:
        return ":".join(("ns", self.pipeline, *parts))


@contextmanager
def connect_redis(url: str, pipeline: str) -> Iterator[Redis]:
    """Open the keys of a pipeline.

    StoreError if the server does not answer or is full, ConfigError if it refuses the login.
    """
    with closing(redis.Redis.from_url(url, decode_responses=True, socket_timeout=60)) as client:
        try:
            yield Redis(client, pipeline)
        except redis.RedisError as error:
            raise explain(error, url) from error


def _packed(command: bytes, columns: Sequence[pa.Array]) -> bytes:
    """Return one command in Redis's protocol: `*<arguments>`, then `$<bytes>` and each argument."""
    pieces: list[pa.Array | pa.Scalar] = []
    for column in columns:
        pieces += [
            pa.scalar("$", _TEXT),
            pc.binary_length(column).cast(_TEXT),
            pa.scalar("\r\n", _TEXT),
            column,
            pa.scalar("\r\n", _TEXT),
        ]
    rows = pc.binary_join_element_wise(*pieces, pa.scalar("", _TEXT))
    body = memoryview(rows.buffers()[2])[: pc.sum(pc.binary_length(rows)).as_py()]
    return b"*%d\r\n$%d\r\n%s\r\n%s" % (1 + len(columns) * len(rows), len(command), command, body)


def _meta(counts: Mapping[str, int], digests: Mapping[str, str]) -> dict[str, str]:
    return {name: f"{counts[name]} {digests[name]}" for name in counts}
