"""What happened to a pod that left no manifest, in words: what it was, and what to do next."""

from __future__ import annotations

from collections import deque
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from nightshift_steps import StepFailed, failure

if TYPE_CHECKING:
    from kubernetes import client as k8s

OVER = ("Succeeded", "Failed")
_RESUMES = "The next try starts another, which goes on at the last checkpoint."


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
    name, state = pod.metadata.name, _terminated(pod)
    if pod.status.reason == "Evicted":
        what, remedy = f"was evicted from its node: {pod.status.message}", _RESUMES
    elif pod.status.reason == "DeadlineExceeded":
        what, remedy = (
            f"ran longer than it may: {pod.status.message}",
            f"see in its log what took so long. {_RESUMES}",
        )
    elif state is not None and state.reason == "OOMKilled":
        what = f"was killed: out of memory (limit {_memory(pod)})"
        remedy = "raise the memory of its size (kubernetes.sizes in params.yaml), then clear this task"
    elif state is None:
        what, remedy = f"failed before it began: {pod.status.reason}: {pod.status.message}", _RESUMES
    elif not state.exit_code:
        return StepFailed(f"{run}: the pod {name} ended without an error and left no manifest.\n  {words}")
    else:
        text = state.message or tail
        return failure(f"{run}: the pod {name}", state.exit_code, deque(text.splitlines()))
    return StepFailed(f"{run}: the pod {name} {what}\n  Next: {remedy}")


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


def _memory(pod: k8s.V1Pod) -> str:
    limits = pod.spec.containers[0].resources.limits or {}
    return str(limits.get("memory", "none"))
