"""Arrays and texts in one file, the same bytes for the same content: an .npz without clocks."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

import numpy as np

EPOCH = (1980, 1, 1, 0, 0, 0)  # the first instant that zip knows


def pack(entries: Mapping[str, np.ndarray | bytes]) -> bytes:
    """A zip archive of the entries, sorted by name; arrays as `<name>.npy`, nothing pickled."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, value in sorted(entries.items()):
            array = isinstance(value, np.ndarray)
            info = zipfile.ZipInfo(f"{name}.npy" if array else name, EPOCH)
            archive.writestr(info, _npy(value) if isinstance(value, np.ndarray) else value)
    return buffer.getvalue()


def unpack(data: bytes) -> dict[str, np.ndarray | bytes]:
    """What `pack` was given."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        read = {name: archive.read(name) for name in archive.namelist()}
    return {
        name.removesuffix(".npy"): np.load(io.BytesIO(value), allow_pickle=False)
        if name.endswith(".npy")
        else value
        for name, value in read.items()
    }


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()
