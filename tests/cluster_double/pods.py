"""A pod as a test holds it: what is known of it, and what may happen to it."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from cluster_double.container import Container
from cluster_double.kubelet import PULLING, SCHEDULING, Kubelet, Node
from cluster_double.record import Ending, Record
from cluster_double.status import Refusal
from cluster_double.store import Object, Store


class Pod:
    """One pod, kept after its deletion.

    `manifest` is what was submitted, `object` what the API returns.
    """

    def __init__(self, manifest: Object, accepted: Object, store: Store, node: Node) -> None:
        self.manifest, self._record = manifest, Record(accepted, store)
        self.kubelet = Kubelet(self._record, node)

    @property
    def object(self) -> Object:
        """As a GET answers; of a deleted pod the last that there was."""
        return self._record.object

    @property
    def uid(self) -> str:
        return self._record.uid

    @property
    def name(self) -> str:
        return self._record.name

    @property
    def labels(self) -> Mapping[str, str]:
        return self.object["metadata"].get("labels") or {}

    @property
    def phase(self) -> str:
        return str(self.object["status"]["phase"])

    @property
    def log(self) -> str:
        return self.kubelet.log.text()

    @property
    def process(self) -> subprocess.Popen[bytes] | None:
        """The container's first process; None before it starts."""
        return self.kubelet.container.process if self.kubelet.container else None

    @property
    def exists(self) -> bool:
        """Whether the API server still knows it."""
        with suppress(Refusal):
            return bool(self._record.store.read("pods", self.name)["metadata"]["uid"] == self.uid)
        return False

    def unschedulable(self, message: str) -> None:
        """No node takes it, until `proceed`. For a scenario of `Cluster.on_create`."""
        self.kubelet.hold(SCHEDULING)
        self._record.condition("PodScheduled", "False", "Unschedulable", message)
        self._record.event("Warning", "FailedScheduling", message, "default-scheduler")

    def image_pull_backoff(self, message: str) -> None:
        """It is scheduled, and its image cannot be pulled, until `proceed`. For a scenario."""
        self.kubelet.hold(PULLING, message)

    def proceed(self) -> None:
        """There is a node for it, or its image, after all."""
        self.kubelet.hold("")

    def out_of_memory(self) -> None:
        """The kernel kills its container for the memory it took. It must run."""
        self._container()
        self.kubelet.end(0, Ending(container="OOMKilled"))

    def evict(self, message: str) -> None:
        """The kubelet takes it off its node at once, as under memory or disk pressure."""
        self._record.condition("DisruptionTarget", "True", "TerminationByKubelet", message)
        self._record.event("Warning", "Evicted", message)
        self.kubelet.end(0, Ending("Evicted", message))

    def delete(self, grace_s: float | None = None) -> None:
        """Somebody deletes it: SIGTERM, SIGKILL after the grace period, then it is gone."""
        spec = self.object["spec"]
        grace = spec["terminationGracePeriodSeconds"] if grace_s is None else grace_s
        if self.phase in ("Succeeded", "Failed") or not spec.get("nodeName"):
            grace = 0
        if grace == 0:
            self._record.remove()
        else:
            self._record.terminates(grace)
        self.kubelet.end(grace, Ending(), deleting=True)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to its first process, which may ignore it (see Container.kill)."""
        self._container().kill(number)

    def await_phase(self, *phases: str, limit_s: float = 10) -> None:
        """Return once it is in one of the phases; AssertionError after the limit."""
        self.wait_for(lambda: self.phase in phases, limit_s)

    def await_log(self, text: str, limit_s: float = 10) -> None:
        """Return once its log has the text; AssertionError after the limit."""
        self.wait_for(lambda: text in self.log, limit_s)

    def await_gone(self, limit_s: float = 10) -> None:
        """Return once the API server has forgotten it; AssertionError after the limit."""
        self.wait_for(lambda: not self.exists, limit_s)

    def wait_for(self, condition: Callable[[], Any], limit_s: float = 10) -> None:
        """Return once the condition holds; after the limit, fail with the pod's state."""
        deadline = time.monotonic() + limit_s
        while not condition():
            assert time.monotonic() < deadline, (
                f"{limit_s} s: pod {self.name}, {self.object['status']}\n{self.log}"
            )
            time.sleep(0.01)

    def _container(self) -> Container:
        if self.kubelet.container is None:
            raise RuntimeError(f"pod {self.name} has no process yet: await_phase('Running') first")
        return self.kubelet.container
