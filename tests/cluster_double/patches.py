"""PATCH of a pod: metadata may change, the rest of it may not."""

from __future__ import annotations

import json
from typing import Any

from cluster_double.admission import validate_metadata
from cluster_double.status import Refusal, invalid
from cluster_double.store import Object

MERGES = ("application/merge-patch+json", "application/strategic-merge-patch+json")
FIXED = ("name", "namespace", "uid", "creationTimestamp")


def apply(pod: Object, body: bytes, content_type: str) -> None:
    """Change the pod as the patch says.

    It answers 415 for an unknown kind of patch, 409 for a patch of another version, 422 for a field
    that cannot change. Both merge patches are treated alike, since no list that they treat
    differently can change.
    """
    if content_type not in MERGES:
        raise Refusal(
            415, f"the double takes patches of {' and '.join(MERGES)}, not of {content_type}"
        )
    patch = json.loads(body)
    name, metadata = pod["metadata"]["name"], patch.get("metadata") or {}
    if metadata.get("resourceVersion") not in (None, pod["metadata"]["resourceVersion"]):
        raise Refusal(
            409, f'Operation cannot be fulfilled on pods "{name}": the object has been modified'
        )
    merged = _merged(pod, {key: value for key, value in patch.items() if key != "status"})
    if merged["spec"] != pod["spec"]:
        raise invalid(
            name, "spec", "Forbidden: the double changes no more of a pod than its metadata"
        )
    if any(merged["metadata"].get(field) != pod["metadata"].get(field) for field in FIXED):
        raise invalid(name, "metadata", "Invalid value: field is immutable")
    validate_metadata(merged)
    pod["metadata"] = merged["metadata"]


def _merged(value: Any, patch: Any) -> Any:
    """RFC 7386: null removes."""
    if not isinstance(patch, dict):
        return patch
    before = value if isinstance(value, dict) else {}
    merged = before | {key: _merged(before.get(key), part) for key, part in patch.items()}
    return {key: part for key, part in merged.items() if patch.get(key, "") is not None}
