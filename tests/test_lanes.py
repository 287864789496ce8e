"""The unit lane's guard refuses what its marking excludes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lanes import INTERFACES


def test_a_test_without_services_is_a_unit_test(request):
    assert request.node.get_closest_marker("unit")


@pytest.mark.parametrize(
    "start",
    [
        lambda: subprocess.run([sys.executable, "--version"], check=True),
        lambda: os.system("true"),
    ],
    ids=["subprocess", "shell"],
)
def test_a_unit_test_starts_no_process(start):
    with pytest.raises(pytest.fail.Exception, match="A unit test starts"):
        start()


def test_a_unit_test_loads_no_engine(monkeypatch):
    monkeypatch.delitem(sys.modules, "chdb", raising=False)
    with pytest.raises(pytest.fail.Exception, match="A unit test starts chdb"):
        import chdb  # noqa: F401


@pytest.mark.parametrize("name", sorted(INTERFACES))
def test_the_folder_of_an_interface_has_tests(name):
    assert [*(Path(__file__).parent / name).glob("test_*.py")]


@pytest.mark.process
def test_a_marked_test_may(request):
    assert request.node.get_closest_marker("unit") is None
    assert subprocess.run([sys.executable, "--version"], check=True).returncode == 0
