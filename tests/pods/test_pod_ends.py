"""The report about a pod that left no manifest: what happened, and what to do next."""

from __future__ import annotations

import importlib
from types import SimpleNamespace

import pytest
from kubernetes import client as k8s


@pytest.fixture
def ends(airflow_variables):
    return importlib.import_module("nightshift.pod_ends")


def pod(reason=None, message=None, state=None, condition=None):
    statuses = (
        [
            k8s.V1ContainerStatus(
                image="i",
                image_id="",
                name="base",
                ready=False,
                restart_count=0,
                state=k8s.V1ContainerState(terminated=state),
            )
        ]
        if state
        else None
    )
    told = k8s.V1PodCondition(
        type="DisruptionTarget", status="True", reason=condition, message="of the node"
    )
    limits = k8s.V1ResourceRequirements(limits={"memory": "16Gi"})
    return k8s.V1Pod(
        metadata=k8s.V1ObjectMeta(name="fraud-train-2018-07-10-0123456789ab"),
        spec=k8s.V1PodSpec(containers=[k8s.V1Container(name="base", resources=limits)]),
        status=k8s.V1PodStatus(
            phase="Failed",
            reason=reason,
            message=message,
            container_statuses=statuses,
            conditions=[told] if condition else None,
        ),
    )


def ended(code, reason="Error", message=None):
    return k8s.V1ContainerStateTerminated(exit_code=code, reason=reason, message=message)


@pytest.mark.parametrize(
    ("found", "tail", "said", "kind"),
    [
        (
            pod(state=ended(137, "OOMKilled")),
            "",
            ("out of memory (limit 16Gi)", "raise the memory"),
            "StepFailed",
        ),
        (
            pod("Evicted", "low on disk"),
            "",
            ("evicted from its node: low on disk", "checkpoint"),
            "StepFailed",
        ),
        (
            pod("DeadlineExceeded", "too long"),
            "",
            ("ran longer than its limit: too long",),
            "StepFailed",
        ),
        (
            pod("Terminated", "imminent node shutdown", ended(137)),
            "",
            ("with its node", "imminent node shutdown"),
            "StepFailed",
        ),
        (
            pod(state=ended(143), condition="TerminationByKubelet"),
            "",
            ("TerminationByKubelet: of the node",),
            "StepFailed",
        ),
        (pod(), "", ("for an unknown reason, because its node is gone",), "StepFailed"),
        (pod(state=ended(0)), "", ("ended without an error", "run it again"), "StepFailed"),
        (
            pod(state=ended(139)),
            "boosted\n",
            ("ended with exit code 139", "boosted", "read its log"),
            "StepFailed",
        ),
        (
            pod(state=ended(65)),
            "error: no rows\n  Next: load some\n",
            ("no rows", "Next: load some"),
            "PermanentFailure",
        ),
        (
            pod(state=ended(78, message="error: no GPU\n  Next: get one")),
            "",
            ("no GPU",),
            "PermanentFailure",
        ),
        (
            pod(state=ended(137)),
            "boosted\n",
            ("the process was killed. If nobody killed it",),
            "StepFailed",
        ),
    ],
)
def test_each_end_says_what_happened_and_what_to_do(ends, found, tail, said, kind):
    error = ends.explained("fraud/train 2018-07-10", found, tail, "run it again")
    assert type(error).__name__ == kind
    assert all(words in error.text for words in said), error.text
    assert [line for line in error.text.splitlines()[-2:] if "Next: " in line]


def test_a_pod_that_ended_says_when(ends):
    finished = pod(state=ended(1))
    finished.status.container_statuses[0].state.terminated.finished_at = "then"
    finished.metadata.creation_timestamp = "before"
    assert ends.ended_at(finished) == "then"
    assert (
        ends.ended_at(SimpleNamespace(status=k8s.V1PodStatus(), metadata=finished.metadata))
        == "before"
    )
