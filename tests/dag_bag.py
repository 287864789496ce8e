"""The DAGs as Airflow parses them, in a process of their own.

`python tests/dag_bag.py` writes the snapshot again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from jobs.core.settings import PROJECT
from jobs.local import airflow
from jobs.local.state import State

SNAPSHOT = PROJECT / "tests" / "dags" / "snapshot.json"
IN_SNAPSHOT = ("group", "pool", "trigger_rule", "downstream")


def airflow_environment(home: Path) -> dict[str, str]:
    """Variables that airflow.cfg uses, with a home under `home`; no test runs on this SQLite."""
    state = State(home)
    state.prepare()
    folder = state.folder("airflow")
    return airflow.environment(state) | {
        "NIGHTSHIFT_AIRFLOW_DB": f"sqlite:///{folder / 'airflow.db'}"
    }


def parse(prepare=lambda home: None) -> dict:
    """What tests/dags/parse.py says of the DAGs, over a new home that `prepare` has changed."""
    variables = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AIRFLOW", "_AIRFLOW"))
    }
    with tempfile.TemporaryDirectory(prefix="nightshift-") as folder:
        facts = Path(folder) / "facts.json"
        prepare(Path(folder))
        ended = subprocess.run(
            [sys.executable, PROJECT / "tests" / "dags" / "parse.py", facts],
            env=variables | airflow_environment(Path(folder)),
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert ended.returncode == 0, ended.stderr
        return json.loads(facts.read_text())


def snapshot(bag: dict) -> dict:
    """The DAGs, their tasks and how these hang together: what changes only on purpose."""
    return {
        name: {task: {key: each[key] for key in IN_SNAPSHOT} for task, each in dag["tasks"].items()}
        for name, dag in bag["dags"].items()
    }


if __name__ == "__main__":
    SNAPSHOT.write_text(json.dumps(snapshot(parse()), indent=1, sort_keys=True) + "\n")
