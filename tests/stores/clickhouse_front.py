"""ClickHouse's HTTP interface on chDB, as far as clickhouse-connect uses it. For tests only.

`python clickhouse_front.py FOLDER` serves the folder on a free loopback port, prints the port, and
ends with the process that started it. User and password come from FRONT_USER and FRONT_PASSWORD.

Unlike a server, it keeps no sessions (every request has its own handle) and answers only when a
statement has ended.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
import re
import sys
import tempfile
import uuid
from collections.abc import Callable
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import chdb
import lz4.frame
from backports import zstd

from jobs.core.process import die_with_parent

TRANSPORT = frozenset(
    {
        "query",
        "database",
        "default_format",
        "session_id",
        "session_timeout",
        "session_check",
        "query_id",
        "quota_key",
        "compress",
        "decompress",
        "wait_end_of_query",
        "buffer_size",
        "client_protocol_version",
        "role",
        "send_progress_in_http_headers",
        "http_headers_progress_interval_ms",
        "enable_http_compression",
        "cancel_http_readonly_queries_on_client_close",
    }
)
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "lz4": lz4.frame.compress,
    "zstd": zstd.compress,
    "gzip": gzip.compress,
}
DECOMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "lz4": lz4.frame.decompress,
    "zstd": zstd.decompress,
    "gzip": gzip.decompress,
}
# ClickHouse's exceptionCodeToHTTPStatus, for the codes that can come up here; any other is a 500.
STATUS = {
    36: 400,
    41: 400,
    43: 400,
    53: 400,
    62: 400,
    70: 400,
    72: 400,
    457: 400,
    47: 404,
    60: 404,
    81: 404,
    115: 404,
    516: 403,
}

# INSERT INTO … FORMAT Name, then the data; a name in backticks may hold anything.
INSERT = re.compile(
    rb"\s*(INSERT\s+INTO\s(?:`(?:\\.|[^`\\])*`|[^`])*?)\bFORMAT\s+(\w+)[ \t]*\n?(.*)",
    re.DOTALL | re.IGNORECASE,
)
FORMAT = re.compile(rb"\bFORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)
RETURNS = re.compile(rb"\s*(SELECT|WITH|SHOW|DESC|DESCRIBE|EXISTS|EXPLAIN)\b", re.IGNORECASE)


class Front(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, folder: str, user: str, password: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.engine = chdb.connect(folder)  # held, so that the engine stays open between requests
        self.authorization = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Front

    def do_GET(self) -> None:
        if urlsplit(self.path).path == "/ping":
            self._send(200, b"Ok.\n")
        else:
            self._answer(readonly=True)

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _answer(self, readonly: bool = False) -> None:
        body = self._body()
        try:
            if self.headers.get("Authorization") != self.server.authorization:
                raise RuntimeError(
                    "Code: 516. DB::Exception: default: Authentication failed: password is "
                    "incorrect, or there is no user with such name. (AUTHENTICATION_FAILED)"
                )
            params = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
            if self.headers.get_content_type() == "multipart/form-data":
                params, body = params | _form(self.headers["Content-Type"], body), b""
            if encoding := self.headers.get("Content-Encoding"):
                body = DECOMPRESS[encoding](body)
            statement = b"\n".join(filter(None, [params.get("query", "").encode(), body]))
            self._send(200, *self._run(statement, params, readonly))
        except RuntimeError as error:
            self._refuse(str(error))

    def _run(
        self, statement: bytes, params: dict[str, str], readonly: bool
    ) -> tuple[bytes, dict[str, str]]:
        """The answer's body and headers."""
        bound = {name[6:]: value for name, value in params.items() if name.startswith("param_")}
        settings = {
            name: value
            for name, value in params.items()
            if name not in TRANSPORT and not name.startswith("param_")
        }
        if readonly:
            settings["readonly"] = "2"
        kind = self._format(statement, params)
        handle = chdb.connect(self.server.folder)
        try:
            if database := params.get("database"):
                handle.query("USE {}".format(_quoted(database, "`")))
            # A server takes all of them at once; here readonly would refuse those after it.
            for name, value in sorted(
                settings.items(), key=lambda setting: setting[0] == "readonly"
            ):
                handle.query(f"SET {_identifier(name)} = {_quoted(value)}")
            if insert := INSERT.match(statement):
                written = _insert(handle, *insert.groups())
                return b"", {"X-ClickHouse-Summary": json.dumps({"written_rows": str(written)})}
            result = handle.query(statement.decode(), kind, params=bound)
            data, read = result.bytes() or b"", result.rows_read()
        finally:
            handle.close()
        headers = {"X-ClickHouse-Summary": json.dumps({"read_rows": str(read)})}
        if RETURNS.match(statement):
            headers["X-ClickHouse-Format"] = kind
        return self._compressed(data, headers, params)

    def _format(self, statement: bytes, params: dict[str, str]) -> str:
        if match := FORMAT.search(statement):
            return match.group(1).decode()
        return (
            params.get("default_format")
            or self.headers.get("X-ClickHouse-Format")
            or "TabSeparated"
        )

    def _compressed(
        self, data: bytes, headers: dict[str, str], params: dict[str, str]
    ) -> tuple[bytes, dict[str, str]]:
        if params.get("enable_http_compression") == "1":
            for encoding in re.split(r"\s*,\s*", self.headers.get("Accept-Encoding", "")):
                if encoding in COMPRESS:
                    return COMPRESS[encoding](data), headers | {"Content-Encoding": encoding}
        return data, headers

    def _refuse(self, text: str) -> None:
        text = text[max(0, text.find("Code: ")) :].strip()
        match = re.match(r"Code: (\d+)", text)
        code = int(match.group(1)) if match else 1001
        body = f"{text} (version {chdb.engine_version} (official build))\n"
        self._send(STATUS.get(code, 500), body.encode(), {"X-ClickHouse-Exception-Code": str(code)})

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        standing = {
            "Content-Type": "text/plain; charset=UTF-8",
            "Content-Length": str(len(body)),
            "X-ClickHouse-Server-Display-Name": "front",
            "X-ClickHouse-Query-Id": str(uuid.uuid4()),
            "X-ClickHouse-Timezone": "UTC",
        }
        for name, value in (standing | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            parts = []
            while size := int(self.rfile.readline().partition(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))


def _insert(handle: Any, head: bytes, kind: bytes, data: bytes) -> int:
    """Run `INSERT INTO …` (head) with `data` in the format `kind`; returns the rows written."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        statement = f"{head.decode()} FROM INFILE {_quoted(file.name)} FORMAT {kind.decode()}"
        return int(handle.query(statement, "TabSeparated").rows_read())


def _form(content_type: str, body: bytes) -> dict[str, str]:
    message = BytesParser(policy=HTTP).parsebytes(
        f"Content-Type: {content_type}\r\n\r\n".encode() + body
    )
    return {
        part.get_param("name", header="Content-Disposition"): part.get_payload(decode=True).decode()
        for part in message.iter_parts()
    }


def _identifier(name: str) -> str:
    if not re.fullmatch(r"\w+", name):
        raise RuntimeError(f"Code: 115. DB::Exception: Unknown setting {name!r}. (UNKNOWN_SETTING)")
    return name


def _quoted(text: str, quote: str = "'") -> str:
    return quote + text.replace("\\", "\\\\").replace(quote, f"\\{quote}") + quote


if __name__ == "__main__":
    die_with_parent(os.getppid())
    front = Front(sys.argv[1], os.environ["FRONT_USER"], os.environ["FRONT_PASSWORD"])
    sys.stdout.write(f"{front.server_port}\n")
    sys.stdout.flush()
    front.serve_forever()
