"""The training device: what is requested, what exists, and what is reported."""

from __future__ import annotations

import pytest

from jobs.core import log
from jobs.core.errors import ConfigError
from jobs.training import device


@pytest.fixture(autouse=True)
def ask_anew():
    device.resolve.cache_clear()
    yield
    device.resolve.cache_clear()


@pytest.fixture
def without_driver(monkeypatch):
    monkeypatch.setattr(device, "_LIBRARY", "libno-such-driver.so.1")


def test_cuda_that_is_not_there_is_an_error_that_says_what_to_do(without_driver):
    with pytest.raises(
        ConfigError, match=r"train\.device is cuda, but there is no NVIDIA driver"
    ) as missing:
        device.resolve("cuda")
    assert "resources.train" in str(missing.value)


def test_auto_falls_back_and_says_so(without_driver, capsys):
    log.set_up()
    assert device.resolve("auto") == "cpu"
    assert "takes=cpu because=there is no NVIDIA driver" in capsys.readouterr().err


def test_cpu_asks_for_no_driver(monkeypatch):
    monkeypatch.setattr(device, "_lacking", lambda: pytest.fail("nobody asked for a GPU"))
    assert device.resolve("cpu") == "cpu"


def test_a_driver_that_shows_a_gpu_is_taken_by_auto_and_cuda(monkeypatch):
    monkeypatch.setattr(device, "_lacking", str)
    assert (device.resolve("auto"), device.resolve("cuda")) == ("cuda", "cuda")
