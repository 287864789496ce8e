"""The device of a training: one for the whole run, decided before it begins."""

from __future__ import annotations

import ctypes
from functools import cache
from importlib.util import find_spec
from typing import Literal

from jobs.core import log
from jobs.core.errors import ConfigError
from jobs.core.params import DeviceChoice

Device = Literal["cuda", "cpu"]

_LIBRARY = "libcuda.so.1"  # library of the driver, without which no GPU is usable


@cache
def resolve(asked: DeviceChoice, *libraries: str) -> Device:
    """Return the device for the choice in params, and log it.

    `auto` uses a GPU if there is one and the `libraries` that the model needs for it are installed.
    ConfigError if `cuda` is requested but not available.
    """
    if asked == "cpu":
        return "cpu"
    lacking = _lacking() or _not_installed(libraries)
    if asked == "cuda" and lacking:
        raise ConfigError(
            f"train.device is cuda, but {lacking}",
            remedy="give the task a GPU (resources.train: gpu, and an image with CUDA), "
            "or set train.device to auto or cpu",
        )
    device: Device = "cpu" if lacking else "cuda"
    log.logger().info("device", asked=asked, takes=device, because=lacking or "there is a GPU")
    return device


def _not_installed(libraries: tuple[str, ...]) -> str:
    missing = [name for name in libraries if find_spec(name) is None]
    return f"{' and '.join(missing)} is not installed" if missing else ""


def _lacking() -> str:
    """Return the reason why no GPU is usable; "" if one is."""
    try:
        driver = ctypes.CDLL(_LIBRARY)
    except OSError:
        return "there is no NVIDIA driver"
    count = ctypes.c_int(0)
    if error := driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return f"the NVIDIA driver answers with error {error}"
    if not count.value:
        return "the driver shows no GPU"
    import xgboost

    return "" if xgboost.build_info().get("USE_CUDA") else "this XGBoost was built without CUDA"
