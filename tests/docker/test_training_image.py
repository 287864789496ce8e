"""What the training image installs: the project's own versions, and all that a training imports."""

import re
import subprocess
import sys
from functools import cache

import pytest

from jobs.core.pipelines import PIPELINES
from jobs.core.settings import PROJECT

TRAINING = PROJECT / "docker" / "training"
NEEDLESS = {
    "apache-airflow",
    "apache-airflow-core",
    "pyspark",
    "chdb",
    "dvc",
    "evidently",
    "pytest",
}
MODULES = (
    "jobs.cli.entry",
    "jobs.cli.steps",
    "jobs.core.process",
    "jobs.core.log",
    "jobs.steps.train",
    *(f"jobs.usecases.{pipeline}.{part}" for pipeline in PIPELINES for part in ("model", "params")),
    "jobs.usecases.fraud.report",
)

# Imports as in the image: a module of a package that the lock lacks is not found.
ALONE = """
import sys
from importlib import import_module
from importlib.metadata import packages_distributions

allowed = set(sys.argv[1].split(","))
plain = lambda name: name.lower().replace("_", "-").replace(".", "-")
foreign = {
    module for module, found in packages_distributions().items()
    if module != "jobs" and not {plain(name) for name in found} & allowed
}

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in foreign:
            raise ModuleNotFoundError(f"the image has no {name}", name=name)

sys.meta_path.insert(0, Absent())
for module in sys.argv[2:]:
    import_module(module)
"""


@cache
def pins(lock):
    """Version by package."""
    return dict(re.findall(r"^([\w.-]+)==(\S+)", lock.read_text(), re.MULTILINE))


def alone(modules, allowed):
    command = [sys.executable, "-c", ALONE, ",".join(allowed), *modules]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)


def test_its_versions_are_those_of_the_project():
    ours, projects = pins(TRAINING / "requirements.lock"), pins(PROJECT / "requirements.lock")
    both = set(ours) & set(projects)
    assert len(both) > 50
    other = {name: (ours[name], projects[name]) for name in both if ours[name] != projects[name]}
    assert not other, f"run `make lock`: {other}"


def test_only_the_gpu_s_packages_are_its_own():
    own = set(pins(TRAINING / "requirements.lock")) - set(pins(PROJECT / "requirements.lock"))
    assert own == {"cupy-cuda12x", "cuda-pathfinder", "nvidia-cuda-runtime-cu12"}


def test_it_has_nothing_that_a_training_does_not_need():
    assert not NEEDLESS & set(pins(TRAINING / "requirements.lock"))


def test_what_is_asked_for_is_locked():
    asked = re.findall(r"^([\w-]+)", (TRAINING / "requirements.in").read_text(), re.MULTILINE)
    assert {name.lower() for name in asked} <= set(pins(TRAINING / "requirements.lock"))


@pytest.mark.parametrize("lock", [TRAINING / "requirements.lock", PROJECT / "requirements.lock"])
def test_every_package_is_held_against_its_hash(lock):
    text = lock.read_text()
    entries = re.split(r"\n(?=[\w.-]+==)", text.strip())
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in text


@pytest.mark.process
def test_a_training_imports_nothing_else():
    done = alone(MODULES, pins(TRAINING / "requirements.lock"))
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.process
def test_an_import_that_the_image_lacks_is_found():
    done = alone(["dvc.repo"], pins(TRAINING / "requirements.lock"))
    assert "the image has no dvc" in done.stderr
