"""The manifests of docker/kubernetes, as objects."""

import tomllib

import yaml

from jobs.core import pods
from jobs.core.settings import PROJECT

FOLDER = PROJECT / "docker" / "kubernetes"
BASE, OVERLAY = FOLDER / "base", FOLDER / "overlays" / "production"
VERSION = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]
STEPS = pods.kubernetes(PROJECT / "params.yaml")


def documents(folder):
    """(file, object) of every manifest in a folder."""
    return [
        (file.name, document)
        for file in sorted(folder.glob("*.yaml"))
        if file.name != "kustomization.yaml"
        for document in yaml.safe_load_all(file.read_text())
    ]


def kustomization(folder):
    return yaml.safe_load((folder / "kustomization.yaml").read_text())


def of_kind(*kinds):
    return [document for _, document in documents(BASE) if document["kind"] in kinds]


def names(kind, namespace):
    return {
        each["metadata"]["name"]
        for each in of_kind(kind)
        if each["metadata"].get("namespace") == namespace
    }
