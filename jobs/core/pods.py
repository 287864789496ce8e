"""How a step runs as a pod: the section `kubernetes` of params.yaml, and `<pipeline>.resources`, which step gets which size."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from jobs.core import params
from jobs.core.errors import ConfigError
from jobs.core.params import Section

KUBERNETES, RESOURCES = "kubernetes", "resources"  # sections
_DEFAULT = {"train": "gpu"}


def _pinned(image: str) -> str:
    if not re.search(r"(:(?!latest$)[\w.-]+|@sha256:[0-9a-f]{64})$", image):
        raise ValueError(
            "an image is pinned by a digest (@sha256:...) or by a tag other than latest"
        )
    return image


Image = Annotated[str, AfterValidator(_pinned)]
# Of what Kubernetes takes, that which a person means.
Processors = Annotated[str, Field(pattern=r"^([1-9]\d*m?|\d+\.\d+)$")]
Bytes = Annotated[str, Field(pattern=r"^[1-9]\d*(\.\d+)?[MGT]i?$")]


class Size(Section):
    image: str = Field(description="the image that has what the step needs, a name in `images`")
    cpu: Processors = Field(description="processors")
    memory: Bytes = Field(description="memory; above it the pod is killed")
    gpu: int = Field(0, ge=0, description="GPUs (nvidia.com/gpu)")


class KubernetesParams(Section):
    namespace: str = Field(
        "nightshift-jobs", description="where the pods of steps run, and nothing else"
    )
    images: dict[str, Image] = Field({}, description="images by name, each with its tag or digest")
    sizes: dict[str, Size] = Field({}, description="what a pod may have, by name")
    endpoints: str = Field(
        "nightshift-endpoints", description="ConfigMap with the URLs of lake and MLflow"
    )
    stores: str = Field("nightshift-stores", description="Secret with what these ask for")
    params: str = Field("nightshift-params", description="ConfigMap with this file as params.yaml")
    service_account: str = Field(
        "nightshift-step", description="of the pods; they get no token of it"
    )
    gpu_nodes: dict[str, str] = Field(
        {"nvidia.com/gpu.present": "true"}, description="labels of the nodes that have GPUs"
    )
    deferrable: bool = Field(False, description="wait for pods in the triggerer, without a worker")
    schedule_timeout_s: int = Field(
        1800, ge=1, description="seconds until a node must have been found"
    )
    startup_timeout_s: int = Field(
        900, ge=1, description="seconds until the image must have been pulled"
    )
    grace_s: int = Field(
        60,
        ge=1,
        description="seconds between being told to end and being killed: for one checkpoint",
    )
    poll_s: int = Field(5, ge=1, description="seconds between two looks at a pod that starts")
    keep_failed_days: int = Field(
        7, ge=0, description="days that failed pods stay, to be looked at"
    )


def kubernetes(path: Path) -> KubernetesParams:
    """The section `kubernetes`, validated; sizes name images that there are."""
    found = params.validated(path, KUBERNETES, params.load(path).get(KUBERNETES), KubernetesParams)
    for name, size in found.sizes.items():
        if size.image not in found.images:
            raise ConfigError(
                f"{KUBERNETES}.sizes.{name}.image is {size.image!r}",
                remedy=f"images in {path}: {', '.join(found.images) or 'none'}",
            )
    return found


def resources(path: Path, pipeline: str) -> dict[str, str]:
    """The size of each step's pod; a step that is not there is a process of the worker. Training has one by default."""
    given = params.pipeline_values(path, pipeline).get(RESOURCES) or {}
    try:
        return _DEFAULT | TypeAdapter(dict[str, str]).validate_python(given)
    except ValidationError:
        raise ConfigError(
            f"{pipeline}.{RESOURCES} is {given!r}", remedy=f"write `step: size` in {path}"
        ) from None


def check(path: Path, pipeline: str, steps: Collection[str]) -> None:
    """ConfigError for a size given to no step of the night, or for one that there is not."""
    for step in resources(path, pipeline):
        if step not in steps:
            raise ConfigError(
                f"{pipeline}.{RESOURCES}.{step}: no step of the night is called so",
                remedy=f"mend {path}; steps: {', '.join(steps)}",
            )


def size(path: Path, pipeline: str, step: str) -> Size | None:
    """What the step's pod may have; None when the step has none. ConfigError names the sizes there are."""
    if not (name := resources(path, pipeline).get(step)):
        return None
    known = kubernetes(path).sizes
    if name not in known:
        raise ConfigError(
            f"{pipeline}.{RESOURCES}.{step} is {name!r}",
            remedy=f"{KUBERNETES}.sizes in {path}: {', '.join(known) or 'none'}",
        )
    return known[name]
