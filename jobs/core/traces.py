"""The long story of a failure, in a file under the home's logs that the error names."""

from __future__ import annotations

import os
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from jobs.core.masking import mask

_TAIL = 1_000_000  # bytes of what an engine wrote
_engines: list[IO[bytes]] = []


def write(error: BaseException, folder: Path, name: str) -> str:
    """Write the traceback, and what engines wrote to standard error, to `folder`/`name`.log; returns its path.

    What cannot be written is said in place of the path: a full disk must not hide the error.
    """
    path = folder / f"{name.replace('/', '-')}.log"
    text = "".join(traceback.format_exception(error))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(
            mask(f"{text}\n{of_engines()}"), encoding="utf-8", errors="backslashreplace"
        )
    except OSError as failed:
        return f"could not be written to {path} ({failed.strerror})"
    return str(path)


@contextmanager
def of_engine(folder: Path) -> Iterator[None]:
    """Keep what a process that is started inside writes to standard error, for `write`.

    In a file without a name: it goes with this process, however that ends.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kept = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (open until this process ends)
    _engines.append(kept)
    before = os.dup(2)
    os.dup2(kept.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)


def of_engines() -> str:
    """The end of what the engines wrote to standard error."""
    return "\n".join(map(_tail, _engines))


def _tail(kept: IO[bytes]) -> str:
    size = os.fstat(kept.fileno()).st_size
    return os.pread(kept.fileno(), _TAIL, max(0, size - _TAIL)).decode(errors="replace")
