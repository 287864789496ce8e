"""The admission by the Pod Security Standard *restricted*."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cluster_double.status import Refusal
from cluster_double.store import Object

VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
SECCOMP = ("RuntimeDefault", "Localhost")


def check_restricted(pod: Object) -> None:
    """403 with every violation, as the admission says it."""
    if violations := list(_violations(pod["spec"])):
        name, said = pod["metadata"]["name"], ", ".join(violations)
        raise Refusal(
            403, f'pods "{name}" is forbidden: violates PodSecurity "restricted:latest": {said}'
        )


def _violations(spec: Object) -> Iterator[str]:
    for namespace in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(namespace):
            yield f"host namespaces ({namespace}=true)"
    for volume in spec.get("volumes") or []:
        if (
            kinds := {key for key, value in volume.items() if key != "name" and value is not None}
            - VOLUMES
        ):
            yield (
                f'restricted volume types (volume "{volume["name"]}" uses '
                f"{', '.join(sorted(kinds))})"
            )
    for container in spec["containers"]:
        yield from _of_container(container, spec.get("securityContext") or {})


def _of_container(container: Object, of_pod: Object) -> Iterator[str]:
    own = container.get("securityContext") or {}
    name = f'container "{container["name"]}"'
    capabilities = own.get("capabilities") or {}
    if own.get("privileged"):
        yield f"privileged ({name} must not set securityContext.privileged=true)"
    if any(port.get("hostPort") for port in container.get("ports") or []):
        yield f"hostPort ({name} uses a hostPort)"
    if own.get("allowPrivilegeEscalation") is not False:
        yield (
            f"allowPrivilegeEscalation != false ({name} must set "
            "securityContext.allowPrivilegeEscalation=false)"
        )
    if "ALL" not in (capabilities.get("drop") or []):
        yield (
            f'unrestricted capabilities ({name} must set securityContext.capabilities.drop=["ALL"])'
        )
    if set(capabilities.get("add") or []) - {"NET_BIND_SERVICE"}:
        yield f'unrestricted capabilities ({name} may add only "NET_BIND_SERVICE")'
    if _either(own, of_pod, "runAsNonRoot") is not True:
        yield f"runAsNonRoot != true (pod or {name} must set securityContext.runAsNonRoot=true)"
    if 0 in (own.get("runAsUser"), of_pod.get("runAsUser")):
        yield f"runAsUser=0 (pod or {name} must not set runAsUser=0)"
    if (_either(own, of_pod, "seccompProfile") or {}).get("type") not in SECCOMP:
        yield (
            f"seccompProfile (pod or {name} must set securityContext.seccompProfile.type to "
            f"one of {SECCOMP})"
        )


def _either(own: Object, of_pod: Object, field: str) -> Any:
    """A container's own setting overrides the pod's."""
    return own[field] if own.get(field) is not None else of_pod.get(field)
