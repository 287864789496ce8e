"""The life of a pod: what the scheduler and the kubelet do with it, in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from cluster_double import configuration
from cluster_double.container import Container, Log
from cluster_double.record import Ending, Record

SCHEDULING, PULLING = "scheduling", "pulling"
OVERDUE = "Pod was active on the node longer than the specified deadline"


@dataclass(frozen=True)
class Node:
    """Where containers run: environment and entry point of the image, a folder, a start delay."""

    environment: Mapping[str, str]
    cwd: Path
    entrypoint: list[str]
    start_delay_s: float


class Kubelet:
    """Runs one pod from `begin` to its end; a test can hold, release or end it."""

    def __init__(self, record: Record, node: Node) -> None:
        self.log = Log()
        self.container: Container | None = None
        self._record, self._node = record, node
        self._held, self._problem = "", ""
        self._volumes = TemporaryDirectory(prefix="nightshift-pod-")
        self._ending: Ending | None = None
        self._deleting = False
        self._deadline: threading.Timer | None = None
        self._changed = threading.Condition(threading.RLock())
        self._thread = threading.Thread(target=self._live, daemon=True)

    def begin(self) -> None:
        self._thread.start()

    def hold(self, stage: str, problem: str = "") -> None:
        """Let it get no further than SCHEDULING or PULLING; with "", let it go on."""
        with self._changed:
            self._held, self._problem = stage, problem
            self._changed.notify_all()

    def end(self, grace_s: float, ending: Ending, deleting: bool = False) -> None:
        """The first reason is the one that counts; each may shorten the grace period."""
        with self._changed:
            self._ending = self._ending or ending
            self._deleting = self._deleting or deleting
            self._changed.notify_all()
            if self.container:
                self.container.stop(grace_s)

    def close(self) -> None:
        """Kill what runs; return when it is dead."""
        self.end(0, Ending())
        if self._thread.is_alive():
            self._thread.join(timeout=10)
        self._volumes.cleanup()

    def _live(self) -> None:
        try:
            if (
                self._scheduled()
                and self._pulled()
                and (variables := self._configured()) is not None
            ):
                self._run(variables)
            if self._ending and not self.container:
                self._record.failed(self._ending)
        finally:
            if self._deadline:
                self._deadline.cancel()
            if self._deleting:
                self._record.remove()
            self.log.end()

    def _scheduled(self) -> bool:
        if not self._passes(SCHEDULING):
            return False
        self._record.bind()
        self._record.waits("ContainerCreating")
        if limit := self._record.object["spec"].get("activeDeadlineSeconds"):
            self._deadline = threading.Timer(limit, self._expire)
            self._deadline.daemon = True
            self._deadline.start()
        return True

    def _pulled(self) -> bool:
        image = self._record.container["image"]
        if self._held == PULLING:
            message = f'Back-off pulling image "{image}": {self._problem}'
            self._record.event(
                "Warning", "Failed", f'Failed to pull image "{image}": {self._problem}'
            )
            self._record.event("Normal", "BackOff", message)
            self._record.waits("ImagePullBackOff", message)
        if not self._passes(PULLING):
            return False
        self._pause(self._node.start_delay_s)
        self._record.event(
            "Normal", "Pulled", f'Container image "{image}" already present on machine'
        )
        return True

    def _configured(self) -> Mapping[str, str] | None:
        """The pod's own variables, once all it refers to exists; None if it ends before that."""
        said = ""
        while not self._ending:
            try:
                configuration.volumes(self._record.object, self._record.store)
                return configuration.variables(self._record.object, self._record.store)
            except configuration.Missing as error:
                if str(error) != said:
                    self._lacks(error)
                said = str(error)
                self._pause(0.03)
        return None

    def _lacks(self, missing: configuration.Missing) -> None:
        if isinstance(missing, configuration.Unmounted):
            self._record.waits("ContainerCreating")
            self._record.event("Warning", "FailedMount", str(missing))
        else:
            self._record.waits("CreateContainerConfigError", str(missing))
            self._record.event("Warning", "Failed", f"Error: {missing}")

    def _run(self, variables: Mapping[str, str]) -> None:
        """The command, to its end; nothing if the pod ended before."""
        try:
            with self._changed:
                if self._ending:
                    return
                self.container = self._start(variables)
                self._record.runs()
        except OSError as error:
            return self._not_started(f"failed to create containerd task: {error}")
        self._record.event(
            "Normal", "Started", f"Started container {self._record.container['name']}"
        )
        code = self.container.wait()
        self._record.ended(code, self._ending or Ending(), self.log.tail())
        return None

    def _start(self, variables: Mapping[str, str]) -> Container:
        self._record.event(
            "Normal", "Created", f"Created container: {self._record.container['name']}"
        )
        command = configuration.command(self._record.object, self._node.entrypoint, variables)
        if not command:
            raise FileNotFoundError("no command specified")
        folder = Path(self._volumes.name)
        environment = configuration.mounted(
            variables, self._record.object, self._record.store, folder
        )
        return Container(
            command, {**self._node.environment, **environment}, self._node.cwd, self.log
        )

    def _not_started(self, message: str) -> None:
        self._record.event("Warning", "Failed", f"Error: {message}")
        self._record.ended(128, Ending(message=message, container="StartError"), "")

    def _expire(self) -> None:
        self._record.event("Normal", "DeadlineExceeded", OVERDUE)
        grace = self._record.object["spec"]["terminationGracePeriodSeconds"]
        self.end(grace, Ending("DeadlineExceeded", OVERDUE))

    def _passes(self, stage: str) -> bool:
        """False when it ends at this stage."""
        with self._changed:
            self._changed.wait_for(lambda: self._held != stage or self._ending)
            return not self._ending

    def _pause(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._ending, timeout=seconds)
