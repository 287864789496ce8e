"""healthy.py: well only when the api-server says so of that component."""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from jobs.core.settings import PROJECT

pytestmark = pytest.mark.process

SCRIPT = PROJECT / "docker" / "airflow" / "healthy.py"


class Health(BaseHTTPRequestHandler):
    def do_GET(self):
        known = self.path == "/api/v2/monitor/health"
        self.send_response(200 if known else 404)
        self.end_headers()
        self.wfile.write(
            json.dumps({"scheduler": {"status": "healthy"}, "triggerer": {"status": None}}).encode()
        )

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with HTTPServer(("127.0.0.1", 0), Health) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}/execution/"
        listening.shutdown()


def ask(component, address):
    environment = os.environ | {"AIRFLOW__CORE__EXECUTION_API_SERVER_URL": address}
    return subprocess.run(
        [sys.executable, SCRIPT, component],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_component_whose_heart_beats_is_well(server):
    assert ask("scheduler", server).returncode == 0


def test_a_component_that_never_began_is_not(server):
    assert ask("triggerer", server).returncode != 0


def test_no_answer_is_said():
    done = ask("scheduler", "http://127.0.0.1:9/execution/")
    assert done.returncode == 1
    assert "the api-server does not answer" in done.stderr
