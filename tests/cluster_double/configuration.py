"""Environment and command of a container, built as the kubelet does from ConfigMaps and Secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cluster_double.status import Refusal
from cluster_double.store import Object, Store

KINDS = {"configMap": "configmap", "secret": "secret"}
REFERENCE = re.compile(r"\$\$|\$\(([^()]+)\)")


class Missing(Exception):
    """A ConfigMap, a Secret or a key that the container needs is not there; it may still come."""


class Unmounted(Missing):
    """What is missing is of a volume."""


def variables(pod: Object, store: Store) -> dict[str, str]:
    """What envFrom and env say; `$(NAME)` in a value stands for a variable before it."""
    container = pod["spec"]["containers"][0]
    values: dict[str, str] = {}
    for source in container.get("envFrom") or []:
        prefix = source.get("prefix") or ""
        values |= {prefix + key: value for key, value in _all(source, store).items()}
    for variable in container.get("env") or []:
        source = variable.get("valueFrom")
        value = (
            _value(source, pod, store) if source else expanded(variable.get("value") or "", values)
        )
        if value is not None:
            values[variable["name"]] = value
    return values


def command(pod: Object, entrypoint: list[str], known: Mapping[str, str]) -> list[str]:
    """The container's command, or the image's, and its arguments."""
    container = pod["spec"]["containers"][0]
    words = [*(container.get("command") or entrypoint), *(container.get("args") or [])]
    return [expanded(word, known) for word in words]


def expanded(text: str, known: Mapping[str, str]) -> str:
    """`$$` is a dollar; a name that is not known stays as it is."""
    return REFERENCE.sub(lambda match: known.get(match[1], match[0]) if match[1] else "$", text)


def volumes(pod: Object, store: Store) -> dict[str, Mapping[str, str]]:
    """The files of each volume; raises Unmounted if its ConfigMap or Secret does not exist."""
    files: dict[str, Mapping[str, str]] = {}
    for volume in pod["spec"].get("volumes") or []:
        files[volume["name"]] = {}
        for kind, key in (("configMap", "name"), ("secret", "secretName")):
            if source := volume.get(kind):
                try:
                    files[volume["name"]] = _data(
                        KINDS[kind], source[key], source.get("optional"), store
                    )
                except Missing as error:
                    name = volume["name"]
                    raise Unmounted(
                        f'MountVolume.SetUp failed for volume "{name}" : {error}'
                    ) from error
    return files


def mounted(
    variables: Mapping[str, str], pod: Object, store: Store, folder: Path
) -> dict[str, str]:
    """The variables, with paths below a mount moved to `folder`, which contains the volumes."""
    moved = dict(variables)
    for name, files in volumes(pod, store).items():
        (folder / name).mkdir(parents=True)
        for file, text in files.items():
            (folder / name / file).write_text(text)
    for mount in pod["spec"]["containers"][0].get("volumeMounts") or []:
        path = mount["mountPath"]
        for variable, value in variables.items():
            if value == path or value.startswith(f"{path}/"):
                moved[variable] = f"{folder / mount['name']}{value.removeprefix(path)}"
    return moved


def _all(source: Object, store: Store) -> Mapping[str, str]:
    for field, kind in KINDS.items():
        if reference := source.get(f"{field}Ref"):
            return _data(kind, reference["name"], reference.get("optional"), store)
    return {}


def _value(source: Object, pod: Object, store: Store) -> str | None:
    """None where the key is optional, and not there."""
    for field, kind in KINDS.items():
        if reference := source.get(f"{field}KeyRef"):
            return _of_key(kind, reference, store)
    return _field(pod, source["fieldRef"]["fieldPath"])


def _of_key(kind: str, reference: Object, store: Store) -> str | None:
    optional, key = reference.get("optional"), reference["key"]
    value = _data(kind, reference["name"], optional, store).get(key)
    if value is None and not optional:
        raise Missing(f"couldn't find key {key} in {kind} {reference['name']}")
    return value


def _data(kind: str, name: str, optional: bool | None, store: Store) -> Mapping[str, str]:
    try:
        data: Mapping[str, str] = store.read(f"{kind}s", name)["data"]
        return data
    except Refusal as error:
        if optional:
            return {}
        raise Missing(f'{kind} "{name}" not found') from error


def _field(pod: Object, path: str) -> str:
    """`metadata.name`, `metadata.labels['key']`, `status.podIP` and their like."""
    path, _, key = path.rstrip("']").partition("['")
    value: Any = pod
    for name in [*path.split("."), *([key] if key else [])]:
        value = (value or {}).get(name)
    return value or ""
