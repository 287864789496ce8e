"""Settings of steps that run as pods, from params.yaml.

The section `kubernetes` describes the pods; `<pipeline>.resources` gives the size of each step's
pod.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from jobs.core import params
from jobs.core.errors import ConfigError
from jobs.core.params import Section
from jobs.core.steps import NIGHTLY, STEPS

KUBERNETES, RESOURCES = "kubernetes", "resources"  # sections
_DEFAULT = {name: row.pod_size for name, row in STEPS.items() if row.pod_size}


def _pinned(image: str) -> str:
    if not re.search(r"(:(?!latest$)[\w.-]+|@sha256:[0-9a-f]{64})$", image):
        raise ValueError(
            "an image is pinned by a digest (@sha256:...) or by a tag other than latest"
        )
    return image


Image = Annotated[str, AfterValidator(_pinned)]
# The forms of quantities that people write; Kubernetes accepts more.
Processors = Annotated[str, Field(pattern=r"^([1-9]\d*m?|\d+\.\d+)$")]
Bytes = Annotated[str, Field(pattern=r"^[1-9]\d*(\.\d+)?[MGT]i?$")]


class Size(Section):
    image: str = Field(
        description="name of an image in `images` with the libraries that the step needs"
    )
    cpu: Processors = Field(
        description="processors; raise it for speed, lower it to fit smaller nodes"
    )
    memory: Bytes = Field(
        description="memory above which the pod is killed; lower it to fit smaller nodes"
    )
    gpu: int = Field(0, ge=0, description="number of GPUs (nvidia.com/gpu)")


class KubernetesParams(Section):
    namespace: str = Field(
        "nightshift-jobs", description="namespace for the pods of steps and nothing else"
    )
    images: dict[str, Image] = Field({}, description="images by name, each with its tag or digest")
    sizes: dict[str, Size] = Field({}, description="pod sizes by name")
    endpoints: str = Field(
        "nightshift-endpoints", description="ConfigMap with the URLs of lake and MLflow"
    )
    stores: str = Field(
        "nightshift-stores", description="Secret with the credentials of lake and MLflow"
    )
    params: str = Field("nightshift-params", description="ConfigMap with this file as params.yaml")
    service_account: str = Field(
        "nightshift-step", description="service account of the pods, which get no token of it"
    )
    gpu_nodes: dict[str, str] = Field(
        {"nvidia.com/gpu.present": "true"}, description="labels of the nodes with GPUs"
    )
    deferrable: bool = Field(
        False, description="wait for pods in the triggerer, without occupying a worker"
    )
    schedule_timeout_s: int = Field(
        1800,
        ge=1,
        description="seconds in which a pod must get a node; raise it on a busy cluster, lower it "
        "to fail sooner",
    )
    startup_timeout_s: int = Field(
        900,
        ge=1,
        description="seconds in which the image must be pulled; raise it for a slow registry, "
        "lower it to fail sooner",
    )
    grace_s: int = Field(
        60,
        ge=1,
        description="seconds between SIGTERM and SIGKILL, enough for one checkpoint; lower it to "
        "stop pods sooner",
    )
    poll_s: int = Field(
        5,
        ge=1,
        description="seconds between two polls of a starting pod; raise it to ask the cluster less "
        "often, lower it to react sooner",
    )
    keep_failed_days: int = Field(
        7,
        ge=0,
        description="days that failed pods are kept for inspection; lower it to free resources "
        "sooner",
    )


def kubernetes(path: Path) -> KubernetesParams:
    """Return the section `kubernetes`; ConfigError if a size names an unknown image."""
    section = params.validated(
        path, KUBERNETES, params.load(path).get(KUBERNETES), KubernetesParams
    )
    for name, size in section.sizes.items():
        if size.image not in section.images:
            raise ConfigError(
                f"{KUBERNETES}.sizes.{name}.image is {size.image!r}, which is not in images",
                remedy=f"use an image listed in {path}: {', '.join(section.images) or 'none'}",
            )
    return section


def resources(path: Path, pipeline: str) -> dict[str, str]:
    """Return the pod size of each step; a step without one is a process of the worker.

    Training has a size by default.
    """
    sizes = params.pipeline_values(path, pipeline).get(RESOURCES) or {}
    try:
        return _DEFAULT | TypeAdapter(dict[str, str]).validate_python(sizes)
    except ValidationError:
        raise ConfigError(
            f"{pipeline}.{RESOURCES} is {sizes!r}", remedy=f"write `step: size` in {path}"
        ) from None


def check(path: Path, pipeline: str) -> None:
    """Raise ConfigError if the section gives a size to something that is no step of the night."""
    for step in resources(path, pipeline):
        if step not in NIGHTLY:
            raise ConfigError(
                f"{pipeline}.{RESOURCES}.{step}: the night has no step of this name",
                remedy=f"rename it in {path}; steps: {', '.join(NIGHTLY)}",
            )


def size(path: Path, pipeline: str, step: str) -> Size | None:
    """Return the size of the step's pod, None for a step without a pod.

    ConfigError lists the sizes.
    """
    if not (name := resources(path, pipeline).get(step)):
        return None
    sizes = kubernetes(path).sizes
    if name not in sizes:
        raise ConfigError(
            f"{pipeline}.{RESOURCES}.{step} is {name!r}, which is no size",
            remedy=f"use one of {KUBERNETES}.sizes in {path}: {', '.join(sizes) or 'none'}",
        )
    return sizes[name]
