"""Read a CSV file block by block; every column is text."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pa_csv

from jobs.core.errors import ConfigError, DataError
from jobs.source.batch import Batch, Rejected
from jobs.source.records import Broken, Grammar, SplitLines, carriage_returns, split
from jobs.source.text import BLOCK, blocks, undecodable

_IN_QUOTES = re.compile(rb'^(?:[^\n]*\t)?"[^"\t\n]+"(?:\t[^\n]*)?$', re.MULTILINE)
_START, _SAMPLE = 1 << 16, 1000  # bytes and rows to inspect before the file is read
_TAB_NAMES = (".tsv", ".tab")


@dataclass(frozen=True)
class CsvFormat:
    """The format of a CSV file; with `names`, the file has no header.

    The default delimiter is the tab for .tsv and .tab files, else the comma. By default, quotes in
    tab-separated files are part of the value, as the programs that write such files mean them.
    ConfigError for an unknown encoding, and for a delimiter or escape that is not one ASCII
    character.
    """

    encoding: str = "utf-8"
    delimiter: str | None = None
    names: tuple[str, ...] | None = None
    quoted: bool | None = None
    escape: str | None = None

    def __post_init__(self) -> None:
        try:
            codecs.lookup(self.encoding)
        except LookupError:
            raise ConfigError(
                f"there is no encoding {self.encoding!r}",
                remedy="use --encoding utf-8, latin-1, cp1252, utf-16 or another of Python's",
            ) from None
        _check_character("delimiter", self.delimiter, r"use , ; | or \t")
        _check_character("escape", self.escape, "use \\")

    def separator(self, path: Path) -> str:
        """Return the delimiter of the file `path`."""
        tabs = any(suffix.lower() in _TAB_NAMES for suffix in path.suffixes)
        return self.delimiter or ("\t" if tabs else ",")

    def grammar(self, path: Path) -> Grammar:
        """Return the grammar of the lines of `path`."""
        separator = self.separator(path)
        quoted = separator != "\t" if self.quoted is None else self.quoted
        return Grammar(separator, quoted=quoted, escape=self.escape)


class CsvFile:
    """A batch.File of CSV; column names are trimmed.

    A row has the number of its line, from 1, including the header. A line with another number of
    columns than the header, or with an unclosed quote, is malformed; the lines after it are read.
    Empty lines are skipped. DataError if the file is empty or cannot be decoded.
    """

    def __init__(self, path: Path, form: CsvFormat, block: int = BLOCK) -> None:
        self.path, self._form, self._block = path, form, block
        self._grammar = form.grammar(path)
        self._names, self._header = self._columns(self._start())
        self.schema = pa.schema([(name, pa.string()) for name in self._names])

    def batches(self, columns: list[str]) -> Iterator[Batch]:
        wanted = [self._names.index(name) for name in columns]
        header = len(self._header)
        line, rest, share = 1 + self._header.count(b"\n"), b"", 0.0
        with self._readable():
            for block in blocks(self.path, self._form.encoding, self._block):
                data, share = block.data[header:], block.share
                header = max(header - len(block.data), 0)
                data = rest + carriage_returns(data, self._grammar, len(self._names))
                parts = split(data, self._grammar, len(self._names), final=False)
                yield from self._batches(parts, line, columns, wanted, share)
                rest, line = data[parts.rest :], line + parts.count
            parts = split(rest, self._grammar, len(self._names), final=True)
            yield from self._batches(parts, line, columns, wanted, share)

    def _start(self) -> bytes:
        """Return the start of the file: the header and some rows."""
        start = b""
        with self._readable():
            for block in blocks(self.path, self._form.encoding, self._block):
                start += block.data
                if len(start) > _START and start.count(b"\n") > 1:
                    break
        if not start.strip():
            lacks = "" if self._form.names else ", without even a header"
            raise DataError(
                f"the file is empty{lacks}", input=str(self.path), remedy="export it again"
            )
        return start

    def _columns(self, start: bytes) -> tuple[list[str], bytes]:
        """Return the column names and the bytes of the header."""
        begin = len(start) - len(start.lstrip(b"\n"))
        names, end = list(self._form.names or ()), 0
        if not names:
            parsed = self._grammar.parse(start, begin)
            if isinstance(parsed, Broken):
                raise self._broken(
                    f"its header {parsed.reason}", "check its quotes, or use --no-quotes"
                )
            with self._readable():
                names, end = [value.decode().strip() for value in parsed[0]], parsed[1]
            if any("\0" in name for name in names):
                raise self._broken("its header holds NUL characters", "try --encoding utf-16-le")
        return names + self._trailing(start, end, len(names)), start[:end]

    def _trailing(self, start: bytes, end: int, count: int) -> list[str]:
        """Return a nameless column if all first rows, but not the header, end with a delimiter."""
        rows = [
            self._grammar.parse(line + b"\n", 0)
            for line in start[end:].split(b"\n")[:_SAMPLE]
            if line
        ]
        fields = [row[0] for row in rows if not isinstance(row, Broken)]
        longer = [row for row in fields if len(row) == count + 1 and not row[-1]]
        return [""] if longer and all(len(row) != count for row in fields) else []

    def _batches(
        self, parts: SplitLines, line: int, columns: list[str], wanted: list[int], share: float
    ) -> Iterator[Batch]:
        """Yield a batch of a block's plain lines, and one of its odd lines that are rows."""
        broken = [self._rejected(line + at, reason, text) for at, reason, text in parts.broken]
        rows = line + parts.lines
        if len(rows) or broken:
            data, ragged = self._read(parts.plain, rows, wanted)
            good = rows[~np.isin(rows, [row.row for row in ragged])]
            yield Batch(
                data.rename_columns(columns), good, share, broken + ragged, self._notes(parts.plain)
            )
        if parts.records:
            values = [[fields[index].decode() for _, fields in parts.records] for index in wanted]
            data = pa.table([pa.array(column, pa.string()) for column in values], names=columns)
            yield Batch(
                data, np.array([line + at for at, _ in parts.records], dtype=np.int64), share
            )

    def _read(
        self, plain: bytes, rows: npt.NDArray[np.int64], wanted: list[int]
    ) -> tuple[pa.Table, list[Rejected]]:
        """Return the columns `wanted` of plain lines, numbered `rows`, and the ragged lines."""
        ragged: list[Rejected] = []

        def skip(row: pa_csv.InvalidRow) -> str:
            reason = f"has {row.actual_columns} columns"
            ragged.append(self._rejected(int(rows[row.number - 1]), reason, row.text.encode()))
            return "skip"

        names = [str(index) for index in wanted]
        if not len(rows):
            return pa.table({name: pa.array([], pa.string()) for name in names}), ragged
        table = pa_csv.read_csv(
            pa.BufferReader(plain),
            # One thread, since only then Arrow numbers ragged lines.
            pa_csv.ReadOptions(
                column_names=[str(index) for index in range(len(self._names))],
                block_size=len(plain) + 1,
                use_threads=False,
            ),
            pa_csv.ParseOptions(
                delimiter=self._form.separator(self.path),
                quote_char='"' if self._grammar.quoted else False,
                invalid_row_handler=skip,
            ),
            pa_csv.ConvertOptions(
                include_columns=names, column_types=dict.fromkeys(names, pa.string())
            ),
        )
        return table, ragged

    def _notes(self, plain: bytes) -> dict[str, int]:
        """Return a note about lines that look quoted, unless an option decides about quotes."""
        if self._grammar.quoted or self._form.quoted is not None or b'"' not in plain:
            return {}
        count = len(_IN_QUOTES.findall(plain))
        note = (
            "lines have a value in quotes, which are kept: --quotes removes them, "
            "--no-quotes hides this note"
        )
        return {note: count} if count else {}

    def _rejected(self, row: int, reason: str, text: bytes) -> Rejected:
        if reason.endswith("columns"):
            expected = "there should be" if self._form.names else "the header has"
            reason = f"{reason} where {expected} {len(self._names)}"
        return Rejected(row, reason, text.decode(errors="replace"))

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, UnicodeError) as error:
            broken = self._broken(
                str(error).splitlines()[0], "check its quotes, its header and --delimiter"
            )
            raise undecodable(self.path, self._form.encoding) or broken from error

    def _broken(self, what: str, remedy: str) -> DataError:
        return DataError(f"it cannot be read as CSV: {what}", input=str(self.path), remedy=remedy)


def _check_character(option: str, value: str | None, remedy: str) -> None:
    if value is not None and not (len(value) == 1 and value.isascii() and value not in '"\r\n'):
        raise ConfigError(f"the {option} {value!r} is not one character", remedy=remedy)
