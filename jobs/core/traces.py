"""Full tracebacks of failures, in files under the home's logs that the errors name."""

from __future__ import annotations

import os
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from jobs.core.masking import mask

_TAIL = 1_000_000  # bytes of an engine's standard error
_engines: list[IO[bytes]] = []


def write(error: BaseException, folder: Path, name: str) -> str:
    """Write the traceback and the engines' standard error to `folder`/`name`.log; return its path.

    If that fails, return the reason instead of the path: a full disk must not hide the error.
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
    """Keep the standard error of a process that is started inside, for `write`.

    The file has no name, so that it disappears with this process however that ends.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stderr = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (open until this process ends)
    _engines.append(stderr)
    before = os.dup(2)
    os.dup2(stderr.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)


def of_engines() -> str:
    """Return the last part of the engines' standard error."""
    return "\n".join(map(_tail, _engines))


def _tail(stderr: IO[bytes]) -> str:
    size = os.fstat(stderr.fileno()).st_size
    return os.pread(stderr.fileno(), _TAIL, max(0, size - _TAIL)).decode(errors="replace")
