"""The cluster that a test holds: a server, a namespace, and the pods that were ever in it."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import yaml

from cluster_double.admission import admitted
from cluster_double.api import Api
from cluster_double.kubelet import Node
from cluster_double.pods import Pod
from cluster_double.security import check_restricted
from cluster_double.server import Server, cut
from cluster_double.status import Refusal, missing
from cluster_double.store import Object, Store

Scenario = Callable[[Pod], object]


class Cluster:
    """Serves while the context is open; leaving it kills every process of a pod.

    `environment` and `cwd` are those of the image: a container has nothing else but what its pod
    says. `entrypoint` runs in a container without a `command`. With `restricted`, the namespace
    enforces that Pod Security Standard. `start_delay_s` is how long a scheduled pod takes to start.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        cwd: Path,
        *,
        namespace: str = "nightshift-jobs",
        restricted: bool = True,
        entrypoint: Sequence[str] = (),
        start_delay_s: float = 0.0,
    ) -> None:
        self.namespace, self.restricted = namespace, restricted
        self.store, self.token = Store(), secrets.token_urlsafe()
        self.pods: list[Pod] = []
        self.requests: list[tuple[str, str]] = []
        self._node = Node(environment, cwd, list(entrypoint), start_delay_s)
        self._scenario: Scenario = lambda pod: None
        self._troubles: list[Refusal] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._server = Server(self, Api, 0)
        self._port = self._server.server_port
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        for pod in self.pods:
            pod.kubelet.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def kubeconfig(self, path: Path) -> Path:
        """Write the file by which clients find the cluster, with its token; the path again."""
        name = "double"
        context = {"cluster": name, "user": name, "namespace": self.namespace}
        path.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": name,
                    "clusters": [{"name": name, "cluster": {"server": self.url}}],
                    "users": [{"name": name, "user": {"token": self.token}}],
                    "contexts": [{"name": name, "context": context}],
                }
            )
        )
        return path

    def config_map(self, namespace: str, name: str, data: Mapping[str, str]) -> None:
        """Apply a ConfigMap for envFrom, env and volumes; also while a pod waits for it."""
        self._put("configmaps", namespace, name, data)

    def secret(self, namespace: str, name: str, data: Mapping[str, str]) -> None:
        """Apply a Secret, its values as they are (not in base64)."""
        self._put("secrets", namespace, name, data)

    def on_create(self, scenario: Scenario) -> None:
        """Call `scenario` with each new pod from now on, before anything else happens to it."""
        self._scenario = scenario

    def await_pod(self, number: int = 1, limit_s: float = 30) -> Pod:
        """The `number`th pod, once it is created; AssertionError after the limit."""
        deadline = time.monotonic() + limit_s
        while len(self.pods) < number:
            assert time.monotonic() < deadline, (
                f"{limit_s} s: {len(self.pods)} pods, {number} wanted"
            )
            time.sleep(0.01)
        return self.pods[number - 1]

    def delete(self, pod: Pod, grace_s: float | None = None) -> None:
        """Somebody else deletes the pod."""
        pod.delete(grace_s)

    def cut_logs(self) -> int:
        """Break off every log that is followed now; how many that were."""
        return cut(self._server.follows)

    def refuse(self, code: int, message: str, times: int = 1) -> None:
        """Answer the next requests with that Status, such as 429 or 500, whatever they ask for."""
        self._troubles += [Refusal(code, message)] * times

    @contextmanager
    def away(self) -> Iterator[None]:
        """Take the API server away; pods keep running, and it returns at the same address."""
        self._server.close()
        try:
            yield
        finally:
            self._server = Server(self, Api, self._port)

    def restart(self, pause_s: float = 0.0) -> None:
        with self.away():
            time.sleep(pause_s)

    # What the server asks for.

    def trouble(self) -> Refusal | None:
        with self._lock:
            return self._troubles.pop(0) if self._troubles else None

    def pod(self, name: str) -> Pod:
        """The pod of that name that is there now; 404 without one."""
        with self._lock:
            uid = self.store.read("pods", name)["metadata"]["uid"]
            return next(pod for pod in self.pods if pod.uid == uid)

    def create(self, manifest: Object, dry_run: bool) -> Object:
        """The pod as it is when it has been taken; a refusal otherwise. A dry run ends there."""
        accepted = admitted(manifest, self.namespace)
        if self.restricted:
            check_restricted(accepted)
        if dry_run:
            return accepted
        with self._lock:
            pod = Pod(manifest, accepted, self.store, self._node)
            self.pods.append(pod)
        created = pod.object
        self._scenario(pod)
        pod.kubelet.begin()
        return created

    def _put(self, kind: str, namespace: str, name: str, data: Mapping[str, str]) -> None:
        if namespace != self.namespace:
            raise missing("namespaces", namespace)
        content = {"metadata": {"name": name, "namespace": namespace}, "data": dict(data)}
        try:
            self.store.update(kind, name, lambda item: item.update(data=content["data"]))
        except Refusal:
            self.store.create(kind, content)
