"""Errors for a pod that left no manifest: what happened to it, and what to do next."""

from __future__ import annotations

from collections import deque
from datetime import datetime
from typing import TYPE_CHECKING, cast

from nightshift.steps import StepFailed, failure

if TYPE_CHECKING:
    from kubernetes import client as k8s

OVER = ("Succeeded", "Failed")
TIMED_OUT = (
    "the task reached its time limit, and its pod is being stopped\n"
    "  Next: find in the log above what took so long. If you clear this task, it resumes from the "
    "last checkpoint"
)
_RESUMES = "the next try starts another pod, which resumes from the last checkpoint"


def refused(run: str, error: Exception | None) -> StepFailed:
    """The API server created no pod."""
    return StepFailed(
        f"{run}: the API server refused the pod: {error}\n"
        "  Next: check the rights of Airflow's service account, the namespace's quota, and the "
        "section kubernetes of params.yaml. See docs/runbook.md#a-pod-does-not-start"
    )


def gone(run: str, pod: k8s.V1Pod, error: Exception | None) -> StepFailed:
    """The pod was deleted while it ran, or it was never created."""
    return StepFailed(
        f"{run}: the pod {pod.metadata.name} is gone and left no manifest: somebody deleted it, or "
        f"its node was drained ({error or 'it existed before'})\n  Next: {_RESUMES}"
    )


def lost(run: str, pod: k8s.V1Pod, error: Exception | None) -> StepFailed:
    """The API does not answer, so the pod may still be running."""
    return StepFailed(
        f"{run}: lost sight of the pod {pod.metadata.name}, which may still be running: {error}\n"
        "  Next: check that the API server answers. The next try resumes watching the pod, with "
        "its log from the start"
    )


def not_started(run: str, pod: k8s.V1Pod, error: Exception | None) -> StepFailed:
    """The pod never ran, because there was no node or no image for it."""
    conditions = {condition.type: condition for condition in pod.status.conditions or []}
    scheduled = conditions.get("PodScheduled")
    if scheduled is not None and scheduled.status == "False":
        what = f"no node takes it: {scheduled.reason}: {scheduled.message}"
        remedy = "free or add a node, or lower kubernetes.sizes in params.yaml"
    elif waiting := _waiting(pod):
        what = f"{waiting.reason}: {waiting.message or error}"
        remedy = "correct kubernetes.images in params.yaml, or the registry, ConfigMap or Secret"
    else:
        what, remedy = str(error), "look at the events above"
    return StepFailed(
        f"{run}: the pod {pod.metadata.name} did not start: {what}\n"
        f"  Next: {remedy}, then clear this task. See docs/runbook.md#a-pod-does-not-start"
    )


def explained(run: str, pod: k8s.V1Pod, tail: str, reason: str) -> StepFailed:
    """The pod ran and has ended."""
    state = _terminated(pod)
    if cause := _by_the_cluster(pod, state):
        what, remedy = cause
    elif state is None or not state.exit_code:
        what, remedy = "ended without an error, but left no valid manifest", reason
    else:
        return _by_itself(f"{run}: the pod {pod.metadata.name}", state, tail)
    return StepFailed(f"{run}: the pod {pod.metadata.name} {what}\n  Next: {remedy}")


def _by_the_cluster(
    pod: k8s.V1Pod, state: k8s.V1ContainerStateTerminated | None
) -> tuple[str, str] | None:
    """(what happened, what to do) if the cluster ended the pod; else None."""
    reason, message = pod.status.reason, pod.status.message
    if state is not None and state.reason == "OOMKilled":
        limits = pod.spec.containers[0].resources.limits or {}
        remedy = (
            "raise the memory of its size (kubernetes.sizes in params.yaml), then clear this task"
        )
        return f"was killed: out of memory (limit {limits.get('memory', 'none')})", remedy
    if reason == "Evicted":
        return f"was evicted from its node: {message}", _RESUMES
    if reason == "DeadlineExceeded":
        remedy = f"find in its log what took so long; {_RESUMES}"
        return f"ran longer than its limit: {message}", remedy
    for condition in pod.status.conditions or []:
        if condition.type == "DisruptionTarget" and not reason:
            reason, message = condition.reason, condition.message
    if reason:
        return f"was ended with its node, or before it started: {reason}: {message}", _RESUMES
    if state is None:
        return "failed for an unknown reason, because its node is gone", _RESUMES
    return None


def _by_itself(name: str, state: k8s.V1ContainerStateTerminated, tail: str) -> StepFailed:
    """The step's own error, if it printed one."""
    error = failure(name, state.exit_code, deque((tail or state.message or "").splitlines()))
    if "Next: " in error.text:
        return error
    return type(error)(f"{error.text}\n  Next: read its log above; {_RESUMES}")


def ended_at(pod: k8s.V1Pod) -> datetime:
    """When a pod ended; when it was created, if it never started."""
    state = _terminated(pod)
    finished: datetime | None = state.finished_at if state else None
    return finished or cast(datetime, pod.metadata.creation_timestamp)


def _status(pod: k8s.V1Pod) -> k8s.V1ContainerState | None:
    """The state of the step's container; None before it has one."""
    statuses = pod.status.container_statuses
    return statuses[0].state if statuses else None


def _waiting(pod: k8s.V1Pod) -> k8s.V1ContainerStateWaiting | None:
    state = _status(pod)
    return state.waiting if state else None


def _terminated(pod: k8s.V1Pod) -> k8s.V1ContainerStateTerminated | None:
    state = _status(pod)
    return state.terminated if state else None
