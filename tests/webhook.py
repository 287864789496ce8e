"""A webhook on this machine: what was posted to it, and one that never answers."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Webhook:
    """Keeps every JSON document that is posted to `address`, Apprise's form for a plain webhook."""

    def __init__(self):
        self.posted = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())

    @property
    def address(self):
        return (
            f"json://apprise:not-for-logs@127.0.0.1:{self._server.server_port}/token-not-for-logs"
        )

    def wait(self, title, limit_s=60):
        """The document with this title, once it is there. DAGs that Airflow starts by its clock may
        post others meanwhile.
        """
        deadline = time.monotonic() + limit_s
        while not (documents := self.titled(title)):
            assert time.monotonic() < deadline, f"{title} is not among {self.posted}"
            time.sleep(0.05)
        (document,) = documents
        return document

    def titled(self, title):
        """The documents with this title."""
        return [document for document in self.posted if document["title"] == title]

    @contextmanager
    def serving(self):
        thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def _handler(self):
        posted = self.posted

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *words):
                pass

        return Handler
