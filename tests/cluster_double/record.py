"""What the API says of one pod: its object in the store, and its events."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from cluster_double.status import Refusal, now
from cluster_double.store import Object, Store

NODE = "node-1"
OF_CONTAINER = {"Pulled", "Created", "Started", "Killing", "Failed", "BackOff"}


@dataclass(frozen=True)
class Ending:
    """Why a pod ends otherwise than by its command: of the pod, and of its container."""

    reason: str = ""
    message: str = ""
    container: str = "Error"


class Record:
    """The pod in the store; once deleted, its last state is kept and changes do nothing."""

    def __init__(self, accepted: Object, store: Store) -> None:
        self.store = store
        self.uid: str = store.create("pods", accepted)["metadata"]["uid"]

    @property
    def object(self) -> Object:
        return self.store.latest(self.uid)

    @property
    def name(self) -> str:
        return str(self.object["metadata"]["name"])

    @property
    def container(self) -> Object:
        container_spec: Object = self.object["spec"]["containers"][0]
        return container_spec

    def change(self, change: Callable[[Object], Any]) -> None:
        with suppress(Refusal):  # deleted meanwhile
            self.store.update("pods", self.name, change, self.uid)

    def remove(self) -> None:
        self.store.remove("pods", self.name, self.uid)

    def bind(self) -> None:
        """To the node."""
        self.condition("PodScheduled", "True")
        bound = {"startTime": now(), "hostIP": "127.0.0.1", "podIP": "127.0.0.1"}
        self.change(lambda pod: (pod["spec"].update(nodeName=NODE), pod["status"].update(bound)))
        self.condition("Initialized", "True")
        self.event(
            "Normal",
            "Scheduled",
            f"Successfully assigned {self.name} to {NODE}",
            "default-scheduler",
        )

    def waits(self, reason: str, message: str = "") -> None:
        state = {"waiting": {"reason": reason} | ({"message": message} if message else {})}
        self.change(lambda pod: pod["status"].update(_statuses(pod, state)))

    def runs(self) -> None:
        state = {"running": {"startedAt": now()}}
        self.change(
            lambda pod: pod["status"].update(phase="Running", **_statuses(pod, state, ready=True))
        )
        self._ready("True")

    def terminates(self, grace_s: float) -> None:
        """It is being deleted, and has that long."""
        due = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + grace_s))
        mark = {"deletionTimestamp": due, "deletionGracePeriodSeconds": int(grace_s)}
        self.change(lambda pod: pod["metadata"].update(mark))
        self.event("Normal", "Killing", f"Stopping container {self.container['name']}")

    def ended(self, code: int, ending: Ending, log: str) -> None:
        """Its container has, with that exit code; `log` is the end of what it wrote."""
        self._ready("False", "PodFailed" if code else "PodCompleted")
        self.change(
            lambda pod: pod["status"].update(_terminated(pod, code, ending, log) | _failed(ending))
        )

    def failed(self, ending: Ending) -> None:
        """It has, before its container started."""
        self.change(lambda pod: pod["status"].update(_failed(ending)))

    def condition(self, kind: str, status: str, reason: str = "", message: str = "") -> None:
        said = {
            "type": kind,
            "status": status,
            "lastTransitionTime": now(),
            "reason": reason,
            "message": message,
        }
        said = {key: value for key, value in said.items() if value}
        self.change(lambda pod: pod["status"].update(conditions=_conditions(pod, said)))

    def event(self, kind: str, reason: str, message: str, source: str = "kubelet") -> None:
        at, metadata = now(), self.object["metadata"]
        about = {key: metadata[key] for key in ("name", "namespace", "uid", "resourceVersion")}
        field = (
            {"fieldPath": f"spec.containers{{{self.container['name']}}}"}
            if reason in OF_CONTAINER
            else {}
        )
        # Named by the time, as the recorder does: a list of events is in their order.
        name = f"{about['name']}.{time.time_ns():x}{uuid.uuid4().hex[:4]}"
        self.store.create(
            "events",
            {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"name": name, "namespace": about["namespace"]},
                "type": kind,
                "reason": reason,
                "message": message,
                "count": 1,
                "involvedObject": {"apiVersion": "v1", "kind": "Pod"} | about | field,
                "source": {"component": source},
                "reportingComponent": source,
                "reportingInstance": NODE,
                "firstTimestamp": at,
                "lastTimestamp": at,
            },
        )

    def _ready(self, status: str, reason: str = "") -> None:
        for kind in ("ContainersReady", "Ready"):
            self.condition(kind, status, reason)


def _terminated(pod: Object, code: int, ending: Ending, log: str) -> Object:
    before = pod["status"]["containerStatuses"][0]["state"].get("running") or {}
    reason = ending.container if code else "Completed"
    state = {
        "exitCode": code,
        "reason": reason,
        "startedAt": before.get("startedAt", now()),
        "finishedAt": now(),
    }
    if reason == "StartError":
        state["message"] = ending.message
    elif (
        code and pod["spec"]["containers"][0]["terminationMessagePolicy"] == "FallbackToLogsOnError"
    ):
        state["message"] = log
    return {"phase": "Failed" if code else "Succeeded"} | _statuses(pod, {"terminated": state})


def _failed(ending: Ending) -> Object:
    if not ending.reason:
        return {}
    return {"phase": "Failed", "reason": ending.reason, "message": ending.message}


def _statuses(pod: Object, state: Object, ready: bool = False) -> Object:
    container = pod["spec"]["containers"][0]
    image = {
        "image": container["image"],
        "imageID": "" if "waiting" in state else container["image"],
    }
    status = {
        "name": container["name"],
        "ready": ready,
        "started": ready,
        "restartCount": 0,
    } | image
    return {"containerStatuses": [status | {"state": state, "lastState": {}}]}


def _conditions(pod: Object, condition: Object) -> list[Object]:
    others = [
        each for each in pod["status"].get("conditions", []) if each["type"] != condition["type"]
    ]
    return [*others, condition]
