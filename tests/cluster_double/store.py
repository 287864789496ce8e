"""The objects of the cluster, a numbered log of their changes, and watches on it."""

from __future__ import annotations

import copy
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from cluster_double.status import Refusal, missing, now

Object = dict[str, Any]
Match = Callable[[Object], bool]
TYPES = {(False, True): "ADDED", (True, True): "MODIFIED", (True, False): "DELETED"}


class Change(NamedTuple):
    kind: str
    before: Object | None
    after: Object | None
    last: Object


class Store:
    """Objects by (kind, name), replaced whole at each change: what was read once never changes."""

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        self._objects: dict[tuple[str, str], Object] = {}
        self._latest: dict[str, Object] = {}
        self._history: list[Change] = []

    @property
    def version(self) -> str:
        return str(len(self._history) + 1)  # 0 would mean "any"

    def create(self, kind: str, item: Object) -> Object:
        """The object with its identity; 409 where the name is taken."""
        name = item["metadata"]["name"]
        with self.changed:
            if (kind, name) in self._objects:
                raise Refusal(
                    409, f'{kind} "{name}" already exists', "AlreadyExists", name=name, kind=kind
                )
            identity = {"uid": str(uuid.uuid4()), "creationTimestamp": now()}
            return self._put(kind, None, item | {"metadata": item["metadata"] | identity})

    def read(self, kind: str, name: str) -> Object:
        with self.changed:
            if item := self._objects.get((kind, name)):
                return item
        raise missing(kind, name)

    def latest(self, uid: str) -> Object:
        """The object as it is, or as it was when it was removed."""
        return self._latest[uid]

    def update(
        self, kind: str, name: str, change: Callable[[Object], None], uid: str = ""
    ) -> Object:
        """The object after `change` of a copy; 404 if it is gone, even if its name is reused."""
        with self.changed:
            before = self.read(kind, name)
            if uid and before["metadata"]["uid"] != uid:
                raise missing(kind, name)
            change(after := copy.deepcopy(before))
            return before if after == before else self._put(kind, before, after)

    def remove(self, kind: str, name: str, uid: str) -> None:
        """Nothing happens where it is gone."""
        with self.changed:
            item = self._objects.get((kind, name))
            if item and item["metadata"]["uid"] == uid:
                self._put(kind, item, None)

    def list(self, kind: str, match: Match) -> tuple[list[Object], str]:
        """The objects that match, by name, and the version of the list."""
        with self.changed:
            items = [
                value
                for (of, _), value in sorted(self._objects.items())
                if of == kind and match(value)
            ]
            return items, self.version

    def watch(
        self, kind: str, match: Match, since: str, limit_s: float | None, over: Callable[[], bool]
    ) -> Iterator[tuple[str, Object]]:
        """(type, object) of every change after version `since`.

        If `since` is "" or "0", the objects that exist come first.
        """
        ends = time.monotonic() + limit_s if limit_s is not None else None
        with self.changed:
            present, version = self.list(kind, match) if since in ("", "0") else ([], since)
        yield from (("ADDED", value) for value in present)
        position = int(version) - 1
        while not over() and (ends is None or time.monotonic() < ends):
            with self.changed:
                if len(self._history) == position:
                    self.changed.wait(timeout=0.05)
                news = self._history[position:]
            position += len(news)
            yield from (
                said for change in news if change.kind == kind and (said := _said(change, match))
            )

    def _put(self, kind: str, before: Object | None, after: Object | None) -> Object:
        last: Object = after or before  # type: ignore[assignment]
        version = str(len(self._history) + 2)
        last = last | {"metadata": last["metadata"] | {"resourceVersion": version}}
        key = kind, last["metadata"]["name"]
        if after is None:
            del self._objects[key]
        else:
            self._objects[key] = after = last
        self._latest[last["metadata"]["uid"]] = last
        self._history.append(Change(kind, before, after, last))
        self.changed.notify_all()
        return last


def _said(change: Change, match: Match) -> tuple[str, Object] | None:
    """What a watch with a selector sees of a change.

    An object that starts to match is new; one that stops matching is gone.
    """
    matched, matches = (bool(value and match(value)) for value in (change.before, change.after))
    kind = TYPES.get((matched, matches))
    return (kind, change.last) if kind else None
