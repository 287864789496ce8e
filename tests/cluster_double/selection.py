"""Label and field selectors: which objects a list or a watch is of."""

from __future__ import annotations

import re
from collections.abc import Mapping

from cluster_double.admission import check_label
from cluster_double.status import Refusal
from cluster_double.store import Match, Object

FIELDS = {
    "pods": [
        "metadata.name",
        "metadata.namespace",
        "status.phase",
        "spec.nodeName",
        "spec.restartPolicy",
    ],
    "events": [
        "metadata.name",
        "metadata.namespace",
        "involvedObject.kind",
        "involvedObject.name",
        "involvedObject.namespace",
        "involvedObject.uid",
        "reason",
        "type",
    ],
}
SET = re.compile(r"(?P<key>\S+)\s+(?P<how>in|notin)\s*\((?P<values>[^()]*)\)")
EQUAL = re.compile(r"(?P<key>[^\s!=]+)\s*(?P<how>!=|==?)\s*(?P<values>\S*)")
EXISTS = re.compile(r"(?P<how>!?)\s*(?P<key>[^\s!=()]+)")
COMMA = re.compile(r",(?![^()]*\))")


def selected(kind: str, query: Mapping[str, str]) -> Match:
    """Matcher of the query's labelSelector and fieldSelector for `kind`; 400 if malformed."""
    labels = [_requirement(part) for part in _parts(query.get("labelSelector", ""))]
    fields = [_field(kind, part) for part in _parts(query.get("fieldSelector", ""))]
    return lambda value: all(holds(value) for holds in [*labels, *fields])


def _parts(selector: str) -> list[str]:
    return [part.strip() for part in COMMA.split(selector)] if selector.strip() else []


def _requirement(text: str) -> Match:
    for form in (SET, EQUAL, EXISTS):
        if match := form.fullmatch(text):
            parts = match.groupdict()
            return _label(
                parts["key"], parts["how"], [v.strip() for v in parts.get("values", "").split(",")]
            )
    raise Refusal(400, f"unable to parse requirement: found {text!r}")


def _label(key: str, how: str, values: list[str]) -> Match:
    try:
        for value in values:
            check_label(key, value)
    except ValueError as error:
        raise Refusal(400, f"unable to parse requirement: {error}") from error
    if how in ("!", ""):
        return lambda value: (key in _labels(value)) is (how == "")
    negated = how in ("!=", "notin")  # true as well of what has no such label
    return lambda value: (_labels(value).get(key) in values) is not negated


def _labels(value: Object) -> Mapping[str, str]:
    return value["metadata"].get("labels") or {}


def _field(kind: str, text: str) -> Match:
    match = EQUAL.fullmatch(text)
    if not match or match["key"] not in FIELDS[kind]:
        raise Refusal(400, f"field label not supported: {text}")
    path, wanted, negated = match["key"].split("."), match["values"], match["how"] == "!="
    return lambda value: (_at(value, path) == wanted) is not negated


def _at(value: Object, path: list[str]) -> str:
    for name in path:
        value = value.get(name) or {}
    return value if isinstance(value, str) else ""
