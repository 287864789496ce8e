"""The HTTP side: a server that can go and come back, JSON, and the streams of watches and logs."""

from __future__ import annotations

import json
import socket
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from cluster_double.status import Refusal

if TYPE_CHECKING:
    from cluster_double.cluster import Cluster


class Server(ThreadingHTTPServer):
    """Listens as soon as it exists; `close` also ends its connections, as a process's end would."""

    daemon_threads = True

    def __init__(self, cluster: Cluster, handler: type[Handler], port: int) -> None:
        self.cluster, self.over = cluster, False
        self.connections: set[socket.socket] = set()
        self.follows: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), handler)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.over = True
        self.shutdown()
        self.server_close()
        cut(self.connections)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error; anything else is for the test to see."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def cut(connections: set[socket.socket]) -> int:
    """Break the connections off; how many there were."""
    open_connections = [*connections]
    for connection in open_connections:
        connections.discard(connection)
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
    return len(open_connections)


class Handler(ABC, BaseHTTPRequestHandler):
    """One connection; what is asked for and what answers is `route`'s."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        super().finish()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_PATCH = do_DELETE = do_PUT = do_GET

    def _answer(self) -> None:
        if self.server.over:  # a connection that came as the server went
            self.close_connection = True
            return
        url, body = (
            urlsplit(self.path),
            self.rfile.read(int(self.headers.get("Content-Length") or 0)),
        )
        self.query = dict(parse_qsl(url.query, keep_blank_values=True))
        self.cluster.requests.append((self.command, url.path))
        try:
            self.route(url.path, body)
        except Refusal as refusal:
            self.send(refusal.code, refusal.body())
        except ValueError as error:
            self.send(400, Refusal(400, str(error)).body())

    @property
    def cluster(self) -> Cluster:
        return self.server.cluster

    @abstractmethod
    def route(self, path: str, body: bytes) -> None:
        """Answer by `send` or `stream`, or raise a Refusal."""

    def stream(self, content_type: str, parts: Iterator[bytes]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for part in parts:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        if not self.server.over:
            self.wfile.write(b"0\r\n\r\n")

    def send(self, code: int, value: Mapping[str, Any]) -> None:
        body = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
