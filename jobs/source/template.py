"""Values combined from several columns: `{Year}-{Month:02}-{Day:02} {Time}`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from string import Formatter

import pyarrow as pa
import pyarrow.compute as pc

from jobs.core.errors import ConfigError
from jobs.source.batch import Batch
from jobs.source.converted import as_text, plain

ROW, FILE = "@row", "@file"


@dataclass(frozen=True)
class Template:
    """Literal texts and columns; a column is (name, least width, padded with zeros).

    The column `@row` is the number of the row in its file, `@file` the file's name up to its first
    dot.
    """

    text: str
    parts: tuple[str | tuple[str, int], ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The file columns that it needs."""
        names = [part[0] for part in self.parts if not isinstance(part, str)]
        return tuple(name for name in names if name not in (ROW, FILE))

    def fill(self, batch: Batch, path: Path) -> pa.Array:
        """Return the text of every row of `batch`; null where a column is null."""
        pieces = [
            part if isinstance(part, str) else self._piece(part, batch, path) for part in self.parts
        ]
        joined = pc.binary_join_element_wise(*pieces, "")
        return joined if len(joined) == len(batch.data) else pa.repeat(joined[0], len(batch.data))

    def _piece(self, part: tuple[str, int], batch: Batch, path: Path) -> pa.Array:
        name, width = part
        if name == FILE:
            return pa.repeat(path.name.split(".")[0], len(batch.data))
        values = pa.array(batch.rows) if name == ROW else batch.data[name]
        return pc.utf8_lpad(as_text(plain(_whole(values))), width, "0")


def template(text: str) -> Template | None:
    """Parse `text` as a template; None if it has no braces, ConfigError if it is wrong."""
    try:
        pieces = list(Formatter().parse(text))
    except ValueError:
        return None
    if all(name is None for _, name, _, _ in pieces):
        return None
    parts: list[str | tuple[str, int]] = []
    for literal, name, form, conversion in pieces:
        parts += [literal] if literal else []
        if name is None:
            continue
        if not name or conversion or not re.fullmatch(r"(0?\d{1,2})?", form or ""):
            raise ConfigError(
                f"--map {text!r} is not a template",
                remedy="use {Column} or, padded with zeros, {Column:02}",
            )
        parts.append((name, int(form or 0)))
    return Template(text, tuple(parts))


def _whole(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
