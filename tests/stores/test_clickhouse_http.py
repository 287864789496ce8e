"""What only a server can do to its clients: refuse them, go away, compress."""

from __future__ import annotations

from datetime import date
from urllib.parse import urlsplit

import clickhouse_connect
import pytest

from jobs.core import settings
from jobs.core.errors import ConfigError, StoreError
from jobs.stores import clickhouse


@pytest.fixture(scope="module")
def server(serve, tmp_path_factory):
    with serve(tmp_path_factory.mktemp("server")) as running:
        yield running


def connect(monkeypatch, dsn: str, wait: float = 0):
    monkeypatch.setenv(settings.CLICKHOUSE, dsn)
    return clickhouse.connect_clickhouse(settings.load(), wait)


def test_a_wrong_password_is_refused_and_not_repeated(server, monkeypatch):
    dsn = f"clickhouse://night:wr0ngpass@127.0.0.1:{urlsplit(server[0]).port}/"
    with pytest.raises(ConfigError) as caught, connect(monkeypatch, dsn):
        pass
    text = str(caught.value)
    assert "refused the login" in text and "AUTHENTICATION_FAILED" in text
    assert f"127.0.0.1:{urlsplit(dsn).port}" in text and "wr0ngpass" not in text


def test_without_a_password_it_is_refused(server, monkeypatch):
    dsn = f"clickhouse://127.0.0.1:{urlsplit(server[0]).port}/"
    with pytest.raises(ConfigError, match="AUTHENTICATION_FAILED"), connect(monkeypatch, dsn):
        pass


def test_nobody_there_says_what_to_start(monkeypatch):
    said = r"cannot be opened(.|\n)*127\.0\.0\.1:1/(.|\n)*start the server"
    with (
        pytest.raises(StoreError, match=said),
        connect(monkeypatch, "clickhouse://night@127.0.0.1:1/"),
    ):
        pass


def test_a_server_that_goes_away_is_a_store_error(serve, tmp_path, monkeypatch):
    refused = pytest.raises(StoreError, match="ClickHouse")
    with serve(tmp_path) as (dsn, process), refused as caught, connect(monkeypatch, dsn) as store:
        process.kill()
        process.wait()
        store.client.command("SELECT 1")
    assert caught.value.exit_code == 75 and urlsplit(dsn).password not in str(caught.value)


@pytest.mark.parametrize("method", ["lz4", "zstd", "gzip", "false"])
def test_every_compression_gives_the_same(server, method):
    client = clickhouse_connect.get_client(dsn=f"{server[0]}?compress={method}")
    name = f"t_{method}"
    client.command(
        f"CREATE TABLE {name} (n UInt64, s String, d Date) ENGINE = MergeTree ORDER BY n"
    )
    rows_sent = [(number, f"ü'{number}", date(2018, 7, 10)) for number in range(5_000)]
    client.insert(name, rows_sent, column_names=["n", "s", "d"])
    assert client.query(f"SELECT * FROM {name} ORDER BY n").result_rows == rows_sent
    assert client.query_arrow(f"SELECT sum(n) AS n FROM {name}").to_pylist() == [
        {"n": sum(range(5_000))}
    ]
    client.close()
