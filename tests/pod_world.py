"""How a step becomes a pod of the double, and a task instance without a scheduler."""

from __future__ import annotations

import json
import os
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from jobs.core import settings
from nights import DAY

NAMESPACE, ENDPOINTS = "nightshift-jobs", "nightshift-endpoints"
KUBERNETES = {
    "images": {"training": "nightshift-training:0.1.0", "airflow": "nightshift-airflow:0.1.0"},
    "sizes": {
        "small": {"image": "training", "cpu": "1", "memory": "2Gi"},
        "gpu": {"image": "training", "cpu": "2", "memory": "4Gi", "gpu": 1},
    },
    "poll_s": 1,
    "schedule_timeout_s": 2,
    "startup_timeout_s": 2,
    "grace_s": 5,
}


def image():
    """The environment that the images give a container: here, this project's own."""
    return {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONUNBUFFERED": "1",
    }


def endpoints(place, mlflow):
    """What pods of steps find their stores by."""
    return {
        settings.LAKE: f"file://{place.home / 'lake'}",
        settings.MLFLOW: mlflow,
    }


def connect(cluster, place, folder, mlflow, secrets=("nightshift-stores",), **more):
    """Give the cluster what the pods of steps read, and configure pods in the place's params.

    Returns what Airflow needs in its environment.
    """
    file = place.home / "params.yaml"
    params = {"movies": {"first_date": "2018-04-08"}} | yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump(params | {"kubernetes": KUBERNETES | more}))
    cluster.config_map(NAMESPACE, ENDPOINTS, endpoints(place, mlflow))
    apply_params(cluster, place)
    for name in secrets:
        cluster.secret(NAMESPACE, name, {"AWS_SECRET_ACCESS_KEY": "of-the-lake"})
    connection = {
        "conn_type": "kubernetes",
        "extra": {"kube_config_path": str(cluster.kubeconfig(folder / "kubeconfig"))},
    }
    return {
        settings.RUNNER: "kubernetes",
        "AIRFLOW_CONN_KUBERNETES_DEFAULT": json.dumps(connection),
    }


def apply_params(cluster, place):
    """As `kubectl apply` after params.yaml has changed: pods from now on read what it says."""
    text = (place.home / "params.yaml").read_text()
    cluster.config_map(NAMESPACE, "nightshift-params", {"params.yaml": text})


class Task:
    """One task instance: its tries share what Airflow keeps between them."""

    def __init__(self, step_task, step="train", day=DAY):
        from airflow.sdk.execution_time.context import OutletEventAccessors

        self.step_task, self.step, self.day = step_task, step, day
        self.said = OutletEventAccessors()
        self.kept, self.pushed, self.tries, self.operator = {}, {}, 0, None

    def attempt(self):
        """One try; what it pushed, or the exception that it ended with."""
        self.tries += 1
        return self._ended(lambda operator: operator.execute(self.context()))

    def defer(self):
        """One try of a deferrable operator, up to its deferral: what it hands to the triggerer."""
        from airflow.sdk.exceptions import TaskDeferred

        self.tries += 1
        with pytest.raises(TaskDeferred) as deferred:
            self._ended(lambda operator: operator.execute(self.context()))
        return deferred.value

    def reenter(self, event):
        """The rest of that try, with the trigger's event; ends like `attempt`."""
        return self._ended(lambda operator: operator.trigger_reentry(self.context(), event))

    def _ended(self, work):
        from airflow.sdk.bases.operator import ExecutorSafeguard

        self.operator = self.step_task("fraud", self.step)
        ExecutorSafeguard.tracker.set(self.operator)  # as the task runner does
        try:
            work(self.operator)
        except Exception as error:
            return error
        return self.pushed["return_value"]

    def die_after_asking(self):
        """One try; its worker dies right after it requested the pod.

        Only what other processes keep survives.
        """
        from nightshift.steps import arguments

        self.tries += 1
        operator, context = self.step_task("fraud", self.step), self.context()
        operator.name = f"fraud-{self.step}-{self.day}-0123456789{self.tries:02}"
        operator.arguments = arguments("fraud", self.step, self.day)
        operator.get_or_create_pod(operator.build_pod_request_obj(context), context)

    def start(self):
        """One try in a thread; `join()` gives its end."""
        ended = []
        thread = threading.Thread(target=lambda: ended.append(self.attempt()))
        thread.start()

        def join():
            thread.join(120)
            assert ended, "the try does not end"
            return ended[0]

        return join

    def context(self):
        run = SimpleNamespace(
            partition_key=str(self.day),
            run_id=f"manual__{self.day}T00:00:00+00:00",
            run_type="manual",
        )
        ti = SimpleNamespace(
            dag_id="fraud_scores",
            task_id=self.step,
            run_id=run.run_id,
            try_number=self.tries,
            map_index=-1,
            start_date=datetime.now(UTC),
            xcom_push=lambda key, value: self.pushed.update({key: value}),
        )
        store = SimpleNamespace(
            get=self.kept.get, set=lambda key, value, **_: self.kept.__setitem__(key, value)
        )
        return {
            "ti": ti,
            "run_id": run.run_id,
            "dag": SimpleNamespace(),
            "dag_run": run,
            "params": {"steps": "night"},
            "task_state_store": store,
            "outlet_events": self.said,
        }
