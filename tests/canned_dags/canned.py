"""The DAGs of dags/ with canned steps: each process writes its receipt and ends.

A file `canned/<date>-<step>` in the home holds a step (`hold`, until the file is removed) or fails
it (`fail`). `queued_at` is a DAG with a deadline that counts from when its run was queued, as an
earlier release's did.
"""

from __future__ import annotations

import json
import os
import time
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

from airflow.sdk import DAG
from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference

import nightshift.housekeeping
import nightshift.promotion
import nightshift.retrain
import nightshift.rollback
import nightshift.steps
from jobs.core.settings import PROJECT
from nightshift.alerts import report_late
from nightshift.nights import nightly
from nightshift.steps import PermanentFailure
from nightshift.tasks import step_task

DECIDED = {
    "retrain": {"decision": "keep"},
    "publish": {"version": "canned", "served_version": "canned"},
}


def command(self, run, words, unlogged=()):
    self.log.info("nightshift %s", " ".join(words))
    options = dict(pairwise(words))
    orders = Path(os.environ["NIGHTSHIFT_HOME"]) / "canned" / f"{options.get('--date')}-{words[0]}"
    while orders.exists() and orders.read_text() == "hold":
        time.sleep(0.1)
    if orders.exists():
        raise PermanentFailure(f"{run}: asked to fail")
    if unlogged:
        receipt = {
            "step": f"{options['--pipeline']}/{words[0]}",
            "date": options["--date"],
            "outputs": [],
            "model_digest": None,
            "decided": DECIDED.get(words[0], {}),
        }
        Path(unlogged[1]).write_text(json.dumps(receipt))


# Airflow loads a module of plugins/ a second time under the same name: each copy has its own class.
OPERATORS = (
    nightshift.housekeeping,
    nightshift.promotion,
    nightshift.retrain,
    nightshift.rollback,
    nightshift.steps,
)
for module in OPERATORS:
    for found in [each for each in vars(module).values() if isinstance(each, type)]:
        for base in found.__mro__:
            if base.__name__ == "CommandOperator":
                base.command = command
for file in sorted((PROJECT / "dags").glob("*.py")):
    exec(compile(file.read_text(), file, "exec"))

once = DeadlineAlert(
    name="published",
    reference=DeadlineReference.DAGRUN_QUEUED_AT,
    interval=timedelta(hours=4),
    callback=AsyncCallback(report_late, kwargs={"pipeline": "fraud"}),
)
with DAG("queued_at", **nightly("fraud") | {"deadline": once}):
    step_task("fraud", "extract")
