"""What the API server does with a pod before it accepts it: decode, validate, fill in defaults."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from kubernetes.client import ApiClient
from kubernetes.utils.quantity import parse_quantity

from cluster_double.status import Refusal, invalid
from cluster_double.store import Object

CLIENT = ApiClient()
DNS_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
SUBDOMAIN = rf"{DNS_LABEL}(\.{DNS_LABEL})*"
NAME_PART = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
ALPHABET = "bcdfghjklmnpqrstvwxz2456789"  # what the API server makes of generateName
ANNOTATIONS_BYTES = 256 * 1024


def decode(body: bytes, model: str = "V1Pod") -> Object:
    """The object in `body`.

    It answers 400 if the official model does not return the object as it was sent, and 422 if a
    required field is missing. (A server drops fields that it does not know, unless asked to be
    strict, as kubectl does.)
    """
    try:
        if (
            not isinstance(sent := json.loads(body), dict)
            or sent.get("kind", model[2:]) != model[2:]
        ):
            raise Refusal(400, f"the object provided is unrecognized: a {model} is wanted")
        known = CLIENT.sanitize_for_serialization(
            CLIENT.deserialize(SimpleNamespace(data=body), model)
        )
    except ValueError as error:
        code = 422 if "must not be `None`" in str(error) else 400
        raise Refusal(code, f"the {model} cannot be read: {error}") from error
    except (AttributeError, TypeError) as error:
        raise Refusal(400, f"the {model} cannot be read: {error}") from error
    if lost := list(_lost(sent, known, "")):
        raise Refusal(
            400, f"Pod in version v1 cannot be handled: strict decoding error: {'; '.join(lost)}"
        )
    return sent


def admitted(sent: Object, namespace: str) -> Object:
    """The pod as it is stored at first; 400 or 422 for what is wrong with it."""
    metadata = {
        key: value for key, value in (sent.get("metadata") or {}).items() if value is not None
    }
    metadata["name"] = _name(metadata)
    if metadata.setdefault("namespace", namespace) != namespace:
        raise Refusal(
            400, "the namespace of the object does not match the namespace of the request"
        )
    if not sent.get("spec"):
        raise invalid(metadata["name"], "spec.containers", "Required value")
    pod = _filled({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": sent["spec"]})
    validate_metadata(pod)
    _validate_container(pod)
    return pod


def validate_metadata(pod: Object) -> None:
    metadata = pod["metadata"]
    name = metadata["name"]
    if not re.fullmatch(SUBDOMAIN, name) or len(name) > 253:
        raise invalid(
            name,
            "metadata.name",
            f'Invalid value: "{name}": a lowercase RFC 1123 subdomain is wanted',
        )
    try:
        for key, value in (metadata.get("labels") or {}).items():
            check_label(key, value)
        for key in metadata.get("annotations") or {}:
            check_label(key.lower())
    except ValueError as error:
        raise invalid(name, "metadata.labels", f"Invalid value: {error}") from error
    if (
        sum(len(k) + len(v) for k, v in (metadata.get("annotations") or {}).items())
        > ANNOTATIONS_BYTES
    ):
        raise invalid(
            name,
            "metadata.annotations",
            f"Too long: may not be more than {ANNOTATIONS_BYTES} bytes",
        )


def check_label(key: str, value: str = "") -> None:
    """ValueError unless the key, and the value, may be a label's."""
    prefix, _, name = key.rpartition("/")
    if not re.fullmatch(NAME_PART, name) or len(name) > 63:
        raise ValueError(f'"{key}": name part must consist of alphanumeric characters, at most 63')
    if "/" in key and (not re.fullmatch(SUBDOMAIN, prefix) or len(prefix) > 253):
        raise ValueError(f'"{key}": prefix part must be a lowercase RFC 1123 subdomain')
    if not re.fullmatch(f"({NAME_PART})?", value) or len(value) > 63:
        raise ValueError(
            f'"{value}": a valid label must be an empty string or alphanumeric, at most 63'
        )


def _name(metadata: Object) -> str:
    if name := metadata.get("name"):
        return str(name)
    if prefix := metadata.get("generateName"):
        return str(prefix)[:248] + "".join(secrets.choice(ALPHABET) for _ in range(5))
    raise invalid("", "metadata.name", "Required value: name or generateName is required")


def _filled(pod: Object) -> Object:
    """The server's defaults."""
    spec = {
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "schedulerName": "default-scheduler",
        "serviceAccountName": "default",
        "securityContext": {},
        "enableServiceLinks": True,
    } | {key: value for key, value in pod["spec"].items() if value is not None}
    filled = {
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "resources": {},
    }
    spec["containers"] = [
        filled
        | {"imagePullPolicy": _pull_policy(container.get("image") or "")}
        | {key: value for key, value in container.items() if value is not None}
        for container in spec["containers"]
    ]
    return pod | {"spec": spec, "status": {"phase": "Pending"}}


def _pull_policy(image: str) -> str:
    named = image.rpartition("/")[2]
    latest = "@" not in named and (":" not in named or named.endswith(":latest"))
    return "Always" if latest else "IfNotPresent"


def _validate_container(pod: Object) -> None:
    name, spec = pod["metadata"]["name"], pod["spec"]
    if (
        len(spec["containers"]) != 1
        or spec.get("initContainers")
        or spec["restartPolicy"] != "Never"
    ):
        raise Refusal(
            501,
            "the double runs pods of one container with restartPolicy Never; ask for such a one",
        )
    field, container = "spec.containers[0]", spec["containers"][0]
    if not re.fullmatch(DNS_LABEL, container["name"]) or len(container["name"]) > 63:
        raise invalid(
            name,
            f"{field}.name",
            f'Invalid value: "{container["name"]}": an RFC 1123 label is wanted',
        )
    if not (container.get("image") or "").strip():
        raise invalid(name, f"{field}.image", "Required value")
    for variable in container.get("env") or []:
        if not re.fullmatch(r"[ -<>-~]+", variable["name"]):
            raise invalid(name, f"{field}.env[].name", f'Invalid value: "{variable["name"]}"')
        if (variable.get("valueFrom") or {}).get("resourceFieldRef"):
            raise Refusal(501, "the double resolves no resourceFieldRef; give the value itself")
    volumes = {volume["name"] for volume in spec.get("volumes") or []}
    for mount in container.get("volumeMounts") or []:
        if mount["name"] not in volumes:
            raise invalid(name, f"{field}.volumeMounts[].name", f'Not found: "{mount["name"]}"')
    if wrong := next(_wrong_resources(container["resources"]), None):
        raise invalid(name, f"{field}.resources", wrong)


def _wrong_resources(resources: Object) -> Iterator[str]:
    """Errors of resources: a request is at most its limit.

    For other resources than cpu and memory, such as GPUs, the two are equal.
    """
    try:
        limits, requests = (
            {key: parse_quantity(value) for key, value in (resources.get(of) or {}).items()}
            for of in ("limits", "requests")
        )
    except ValueError as error:
        yield f"Invalid value: {error}"
        return
    for key, value in requests.items():
        if value > limits.get(key, Decimal("Infinity")):
            yield (
                f'Invalid value: "{value}": must be less than or equal to {key} limit '
                f"of {limits[key]}"
            )
        elif "/" in key and value != limits.get(key):
            yield f"Invalid value: the limit of {key} must be set, and equal to its request"


def _lost(sent: Any, decoded: Any, path: str) -> Iterator[str]:
    """What of `sent` is not in `known`, or is there as another type."""
    if isinstance(sent, dict) and isinstance(decoded, dict):
        for key, value in sent.items():
            if value is not None and key not in decoded:
                yield f'unknown field "{path}{key}"'
            elif value is not None:
                yield from _lost(value, decoded[key], f"{path}{key}.")
    elif isinstance(sent, list) and isinstance(decoded, list):
        for number, pair in enumerate(zip(sent, decoded, strict=True)):
            yield from _lost(*pair, f"{path[:-1]}[{number}].")
    elif (type(sent) is not type(decoded) or sent != decoded) and not _is_quantity(sent, path):
        yield f'cannot unmarshal {json.dumps(sent)} into field "{path[:-1]}"'


def _is_quantity(sent: Any, path: str) -> bool:
    """Of all strings of the model, resources may be numbers."""
    return type(sent) in (int, float) and bool(re.search(r"\.resources\.(limits|requests)\.", path))
