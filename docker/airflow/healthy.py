"""Health check of a container with an Airflow component: exits 0 if its heartbeat is recent.

`python healthy.py scheduler` (or dag_processor, triggerer, metadatabase) asks the api-server, which
takes milliseconds; Airflow's own `jobs check` takes seconds of processor time per minute.
"""

import json
import os
import sys
import urllib.request

SERVER = os.environ.get(
    "AIRFLOW__CORE__EXECUTION_API_SERVER_URL", "http://127.0.0.1:8080/execution/"
)


def status(component: str) -> str:
    """`healthy`, or what the api-server says instead. Raises OSError when it does not answer."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(SERVER.replace("/execution/", "/api/v2/monitor/health"), timeout=8) as answer:
        found = json.load(answer)
    return str(found[component]["status"])


if __name__ == "__main__":
    try:
        said = status(sys.argv[1])
    except OSError as error:
        said = f"the api-server does not answer: {error}"
    sys.exit(None if said == "healthy" else said)
