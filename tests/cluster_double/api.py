"""What is asked for, and what answers: pods, their logs, and events."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from cluster_double import patches
from cluster_double.admission import decode
from cluster_double.container import Line, rendered
from cluster_double.pods import Pod
from cluster_double.selection import selected
from cluster_double.server import Handler
from cluster_double.status import Refusal
from cluster_double.store import Match

ROUTE = re.compile(
    r"/api/v1/namespaces/(?P<namespace>[^/]+)/(?P<kind>[^/]+)(/(?P<name>[^/]+)(/(?P<sub>[^/]+))?)?"
)
BACKOFF = {"ImagePullBackOff": "trying and failing to pull image"}


class Api(Handler):
    """Methods are named after what they answer.

    `_get_pods` answers the list, `_get_pods_one` one pod, `_get_pods_one_log` its log.
    """

    def route(self, path: str, body: bytes) -> None:
        self._admit()
        if path.rstrip("/") == "/version":
            self.send(200, {"major": "1", "minor": "34", "gitVersion": "v1.34.0-double"})
        elif match := ROUTE.fullmatch(path):
            self._resource(match, body)
        else:
            raise Refusal(404, "the server could not find the requested resource")

    def _admit(self) -> None:
        if self.headers.get("Authorization") != f"Bearer {self.cluster.token}":
            raise Refusal(401, "Unauthorized")
        if trouble := self.cluster.trouble():
            raise trouble

    def _resource(self, match: re.Match[str], body: bytes) -> None:
        namespace, kind, name, sub = match["namespace"], match["kind"], match["name"], match["sub"]
        if namespace != self.cluster.namespace:
            raise Refusal(
                403,
                f'{kind} is forbidden: cannot {self.command} {kind} in the namespace "{namespace}"',
            )
        words = [self.command.lower(), kind, *(["one"] if name else []), *([sub] if sub else [])]
        if not (answer := getattr(self, "_" + "_".join(words), None)):
            raise Refusal(
                501,
                f"the double knows pods, their logs and events, and no {self.command} {match[0]}",
            )
        answer(*filter(None, [name]), *([] if self.command == "GET" else [body]))

    def _get_pods(self) -> None:
        self._list("pods", "PodList")

    def _get_events(self) -> None:
        self._list("events", "EventList")

    def _get_pods_one(self, name: str) -> None:
        self.send(200, self.cluster.store.read("pods", name))

    def _post_pods(self, body: bytes) -> None:
        self.send(201, self.cluster.create(decode(body), self.query.get("dryRun") == "All"))

    def _patch_pods_one(self, name: str, body: bytes) -> None:
        kind = self.headers.get_content_type()
        self.send(
            200, self.cluster.store.update("pods", name, lambda pod: patches.apply(pod, body, kind))
        )

    def _delete_pods_one(self, name: str, body: bytes) -> None:
        options = decode(body, "V1DeleteOptions") if body else {}
        pod = self.cluster.pod(name)
        wanted = (options.get("preconditions") or {}).get("uid", pod.uid)
        if wanted != pod.uid:
            raise Refusal(
                409,
                f"Precondition failed: UID in precondition: {wanted}, UID in object meta: "
                f"{pod.uid}",
            )
        grace = self.query.get("gracePeriodSeconds", options.get("gracePeriodSeconds"))
        pod.delete(None if grace is None else float(grace))
        self.send(200, pod.object)

    def _list(self, kind: str, type_: str) -> None:
        match = selected(kind, self.query)
        if self._is_on("watch"):
            return self._watch(kind, match)
        items, version = self.cluster.store.list(kind, match)
        metadata = {"resourceVersion": version}
        return self.send(
            200, {"kind": type_, "apiVersion": "v1", "metadata": metadata, "items": items}
        )

    def _watch(self, kind: str, match: Match) -> None:
        since, limit = self.query.get("resourceVersion", ""), self.query.get("timeoutSeconds")
        if since and not since.isdecimal():
            raise Refusal(400, f'resourceVersion: Invalid value: "{since}"')
        limit_s = float(limit) if limit else None
        changes = self.cluster.store.watch(kind, match, since, limit_s, lambda: self.server.over)
        lines = (
            json.dumps({"type": type_, "object": value}).encode() + b"\n"
            for type_, value in changes
        )
        self.stream("application/json", lines)

    def _get_pods_one_log(self, name: str) -> None:
        pod, tail = self.cluster.pod(name), self.query.get("tailLines")
        _check_log(pod, self.query)
        lines = pod.kubelet.log.read(
            _since(self.query),
            int(tail) if tail else None,
            self._is_on("follow") and "nodeName" in pod.object["spec"],
            self._is_cut,
        )
        self.stream("text/plain", self._followed(lines))

    def _followed(self, lines: Iterable[Line]) -> Iterator[bytes]:
        """The lines as they are sent; while there may be more, the connection is one to cut."""
        self.server.follows.add(self.connection)
        try:
            for line in lines:
                yield rendered(line, self._is_on("timestamps"))
        finally:
            self.server.follows.discard(self.connection)

    def _is_cut(self) -> bool:
        return self.server.over or self.connection not in self.server.follows

    def _is_on(self, parameter: str) -> bool:
        return self.query.get(parameter, "").lower() in ("true", "1")


def _check_log(pod: Pod, query: Mapping[str, str]) -> None:
    """400 where the kubelet has no log to give, with its words."""
    container = pod.object["spec"]["containers"][0]["name"]
    asked = query.get("container") or container
    if asked != container:
        raise Refusal(400, f"container {asked} is not valid for pod {pod.name}")
    if query.get("previous", "").lower() == "true":
        raise Refusal(
            400, f'previous terminated container "{container}" in pod "{pod.name}" not found'
        )
    said = f'container "{container}" in pod "{pod.name}" is'
    statuses = pod.object["status"].get("containerStatuses")
    if not statuses and pod.object["spec"].get("nodeName"):
        raise Refusal(400, f"{said} not available")
    if statuses and (waiting := statuses[0]["state"].get("waiting")):
        raise Refusal(
            400, f"{said} waiting to start: {BACKOFF.get(waiting['reason'], waiting['reason'])}"
        )


def _since(query: Mapping[str, str]) -> int:
    """The nanosecond from which on lines are wanted."""
    if seconds := query.get("sinceSeconds"):
        return time.time_ns() - int(seconds) * 10**9
    if moment := query.get("sinceTime"):
        whole = datetime.fromisoformat(moment).replace(microsecond=0)
        fraction = re.search(r"\.(\d{1,9})", moment)
        return int(whole.timestamp()) * 10**9 + int((fraction[1] if fraction else "").ljust(9, "0"))
    return 0
