"""A small archive of a home as plain files: the fixture of the default lane.

    serving.sql              pg_dump of the serving database
    clickhouse/<table>.sql   its DDL, and <table>.parquet its rows
    lake/…                   manifests of validate, predict and publish; good rows of one night
    redis.json               every key with its type and value

Run as a script, it creates such a home with the release's own code and packs it again.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from contextlib import closing
from pathlib import Path

import clickhouse_connect
import pyarrow.parquet as pq
import redis
from last_release import HOLE, NIGHTS, Code, live, unpack
from psycopg2.extensions import parse_dsn

from jobs.local import place
from jobs.local.state import State

ARCHIVE = Path(__file__).with_name("home-8211ea0.tar.gz")
TABLES = ("transaction_scores", "customer_risk", "merchant_risk", "gate_checks")


def pack(home: Path, archive: Path) -> None:
    """Pack a home with running stores, and the good rows of all nights but HOLE."""
    addresses = json.loads((home / "endpoints.json").read_text())
    with tarfile.open(archive, "w:gz", compresslevel=9) as tar:
        _add(tar, "serving.sql", _postgres(home, addresses["NIGHTSHIFT_POSTGRES_DSN"]))
        _add(tar, "redis.json", _redis(addresses["NIGHTSHIFT_REDIS_URL"]))
        for name, data in _clickhouse(home).items():
            _add(tar, f"clickhouse/{name}", data)
        for night in NIGHTS:
            for step in ("validate", "predict", "publish"):
                for file in sorted((home / "lake" / "fraud" / step / str(night)).iterdir()):
                    if file.suffix == ".json" or (
                        file.name.startswith("transactions") and night != HOLE
                    ):
                        _add(tar, f"lake/{file.relative_to(home / 'lake')}", file.read_bytes())


def restore_postgres(programs: Path, sql: Path, dsn: str) -> None:
    """Run the dump on an empty database."""
    command = [
        str(programs / "psql"),
        "--no-psqlrc",
        "--quiet",
        "-v",
        "ON_ERROR_STOP=1",
        "--file",
        str(sql),
    ]
    done = subprocess.run(
        command, env=os.environ | _libpq(dsn), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def restore_clickhouse(folder: Path, dsn: str) -> None:
    with closing(clickhouse_connect.get_client(dsn=dsn)) as client:
        client.command("CREATE DATABASE fraud")
        for file in sorted(folder.glob("*.sql")):
            client.command(file.read_text())
            client.insert_arrow(f"fraud.{file.stem}", pq.read_table(file.with_suffix(".parquet")))


def restore_redis(file: Path, url: str) -> None:
    with (
        closing(redis.Redis.from_url(url, decode_responses=True)) as client,
        client.pipeline() as pipe,
    ):
        for key, (kind, value) in json.loads(file.read_text()).items():
            if kind == "string":
                pipe.set(key, value)
            elif kind == "hash":
                pipe.hset(key, mapping=value)
            else:
                pipe.sadd(key, *value)
        pipe.execute()


def _postgres(home: Path, dsn: str) -> bytes:
    command = [
        str(place.programs(State(home)) / "pg_dump"),
        "--no-owner",
        "--inserts",
        "--rows-per-insert=500",
    ]
    done = subprocess.run(command, env=os.environ | _libpq(dsn), capture_output=True, check=True)
    # psql alone understands the two commands by which a newer pg_dump guards its output.
    return b"\n".join(
        line
        for line in done.stdout.splitlines()
        if not line.startswith((b"\\restrict", b"\\unrestrict"))
    )


def _libpq(dsn: str) -> dict[str, str]:
    names = {
        "host": "PGHOST",
        "port": "PGPORT",
        "user": "PGUSER",
        "password": "PGPASSWORD",
        "dbname": "PGDATABASE",
    }
    return {names[key]: value for key, value in parse_dsn(dsn).items() if key in names}


def _clickhouse(home: Path) -> dict[str, bytes]:
    files = {}
    with closing(clickhouse_connect.get_client(dsn=f"chdb:///{home / 'clickhouse'}")) as client:
        for table in TABLES:
            files[f"{table}.sql"] = str(
                client.query(f"SHOW CREATE TABLE fraud.{table}").result_rows[0][0]
            ).encode()
            buffer = io.BytesIO()
            pq.write_table(
                client.query_arrow(f"SELECT * FROM fraud.{table}", use_strings=True),
                buffer,
                compression="zstd",
            )
            files[f"{table}.parquet"] = buffer.getvalue()
    return files


def _redis(url: str) -> bytes:
    values = {}
    with closing(redis.Redis.from_url(url, decode_responses=True)) as client:
        read = {
            "string": client.get,
            "hash": client.hgetall,
            "set": lambda key: sorted(client.smembers(key)),
        }
        for key in sorted(client.scan_iter("ns:*", count=5000)):
            kind = client.type(key)
            values[key] = (kind, read[kind](key))
    return json.dumps(values).encode()


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        release = Code(unpack(Path(folder) / "tree"), Path(folder) / "home")
        try:
            live(release)
            pack(release.home, ARCHIVE)
        finally:
            release.nightshift("down", "--purge")
    sys.stdout.write(f"{ARCHIVE}: {ARCHIVE.stat().st_size:,} bytes\n")
