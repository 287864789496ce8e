"""What happened to a pod that left no manifest, in words: what it was, and what to do next."""

from __future__ import annotations

from collections import deque
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from nightshift.steps import StepFailed, failure

if TYPE_CHECKING:
    from kubernetes import client as k8s

OVER = ("Succeeded", "Failed")
TIMED_OUT = (
    "the task reached its time limit, and its pod is told to end.\n"
    "  Next: see in the log above what took so long; clear this task, and it goes on at the last checkpoint"
)
_RESUMES = "The next try starts another, which goes on at the last checkpoint."


def refused(run: str, error: Exception | None) -> StepFailed:
    """There was never a pod."""
    return StepFailed(
        f"{run}: no pod could be made: {error}\n"
        "  Next: see what the API server refuses: the rights of Airflow's service account, the namespace's quota, or "
        "kubernetes in params.yaml. See docs/runbook.md#a-pod-does-not-start"
    )


def gone(run: str, pod: k8s.V1Pod, error: Exception | None) -> StepFailed:
    """It was deleted under way, or never came to be."""
    return StepFailed(
        f"{run}: the pod {pod.metadata.name} is gone and left no manifest: somebody deleted it, or its node was drained "
        f"({error or 'it was there before'}).\n  Next: {_RESUMES}"
    )


def lost(run: str, pod: k8s.V1Pod, error: Exception | None) -> StepFailed:
    """It may go on: the API does not answer."""
    return StepFailed(
        f"{run}: lost sight of the pod {pod.metadata.name}, which may go on: {error}\n"
        "  Next: see that the API server answers; the next try takes the pod up again, with its log from the start."
    )


def not_started(run: str, pod: k8s.V1Pod, error: Exception | None) -> StepFailed:
    """It never ran: no node for it, or no image."""
    conditions = {each.type: each for each in pod.status.conditions or []}
    scheduled = conditions.get("PodScheduled")
    if scheduled is not None and scheduled.status == "False":
        what = f"no node takes it: {scheduled.reason}: {scheduled.message}"
        remedy = "free or add such a node, or lower kubernetes.sizes in params.yaml"
    elif waiting := _waiting(pod):
        what = f"{waiting.reason}: {waiting.message or error}"
        remedy = "mend kubernetes.images in params.yaml, or the registry, ConfigMap or Secret that it names"
    else:
        what, remedy = str(error), "look at the events above"
    return StepFailed(
        f"{run}: the pod {pod.metadata.name} did not start: {what}\n"
        f"  Next: {remedy}, then clear this task. See docs/runbook.md#a-pod-does-not-start"
    )


def explained(run: str, pod: k8s.V1Pod, tail: str, words: str) -> StepFailed:
    """It ran and is over."""
    state = _terminated(pod)
    if told := _by_the_cluster(pod, state):
        what, remedy = told
    elif state is None or not state.exit_code:
        what, remedy = "ended without an error, and without a result that counts", words
    else:
        return _by_itself(f"{run}: the pod {pod.metadata.name}", state, tail)
    return StepFailed(f"{run}: the pod {pod.metadata.name} {what}\n  Next: {remedy}")


def _by_the_cluster(pod: k8s.V1Pod, state: Any) -> tuple[str, str] | None:
    """(what happened, what to do) where the cluster ended the pod."""
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
        return f"ran longer than it may: {message}", f"see in its log what took so long. {_RESUMES}"
    for each in pod.status.conditions or []:
        if each.type == "DisruptionTarget" and not reason:
            reason, message = each.reason, each.message
    if reason:
        return f"was ended with its node, or before it began: {reason}: {message}", _RESUMES
    if state is None:
        return "failed, and nothing says how: its node is gone", _RESUMES
    return None


def _by_itself(name: str, state: Any, tail: str) -> StepFailed:
    """The step's own words, where it said some."""
    error = failure(name, state.exit_code, deque((tail or state.message or "").splitlines()))
    if "Next: " in error.text:
        return error
    return type(error)(f"{error.text}\n  Next: read its log above. {_RESUMES}")


def ended_at(pod: k8s.V1Pod) -> datetime:
    """When a pod that is over ended; when it was made, where it never began."""
    state = _terminated(pod)
    found: datetime | None = state.finished_at if state else None
    return found or cast(datetime, pod.metadata.creation_timestamp)


def _status(pod: k8s.V1Pod) -> Any:
    """The state of the step's container; None before it has one."""
    found = pod.status.container_statuses
    return found[0].state if found else None


def _waiting(pod: k8s.V1Pod) -> Any:
    state = _status(pod)
    return state.waiting if state else None


def _terminated(pod: k8s.V1Pod) -> Any:
    state = _status(pod)
    return state.terminated if state else None
