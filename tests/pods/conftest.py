"""Steps as pods: the real operator and a double of the cluster, on a copy of a prepared night."""

from __future__ import annotations

import pytest

from cluster_double import Cluster
from jobs.core.settings import PROJECT
from pod_world import Task, connect, image


@pytest.fixture
def cluster():
    with Cluster(image(), PROJECT) as double:
        yield double


@pytest.fixture
def pods(at, cluster, services, step_task, monkeypatch, tmp_path):
    """`pods("train")`: (place, task), the night before that step, and its task to run as a pod."""

    def make(moment, step="train", **given):
        place = at(moment)
        needed = connect(cluster, place, tmp_path, services.mlflow, **given)
        for name, value in (place.environment | needed).items():
            monkeypatch.setenv(name, value)
        return place, Task(step_task, step)

    return make
