"""Split lines with quotes, escapes or carriage returns into records.

A lone quote breaks one row.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

OPEN = "has a quote that is still open at its end"
CLOSER = "has a quote that may belong to the open one of an earlier line"
AFTER = "has text after a closing quote"
ESCAPED = "has a quote escaped by a backslash (--escape '\\' reads it)"
_LONGEST = 1 << 20  # bytes of a multi-line record

_QUOTE, _LF, _CR = 34, 10, 13


@dataclass(frozen=True)
class Broken:
    """The reason why a line is no record; `unfinished` if more data could close its quote."""

    reason: str
    unfinished: bool = False


class Grammar:
    """Fields between `delimiter`, which may be quoted.

    `escape` makes the next quote or delimiter plain.
    """

    def __init__(self, delimiter: str, *, quoted: bool, escape: str | None) -> None:
        self.delimiter, self.quoted, self.escape = (
            delimiter.encode(),
            quoted,
            (escape or "").encode(),
        )
        between, escaping = re.escape(self.delimiter), re.escape(self.escape)
        inside, plain = rb'[^"]*+(?:""[^"]*+)*+', rb"[^%b\n]*+" % between
        if escape:
            inside = rb'(?:[^"%b]|%b.|"")*+' % (escaping, escaping)
            plain = rb"(?:[^%b\n%b]|%b[^\n]|%b(?=\n))*+" % (between, escaping, escaping, escaping)
        self._inside = re.compile(rb'"(' + inside + rb')"', re.DOTALL)
        self._plain = re.compile(plain)
        self._escaped = re.compile(escaping + rb'(["' + between + escaping + rb"])")

    def parse(self, data: bytes, start: int) -> tuple[list[bytes], int] | Broken:
        """Return the fields of the record that begins at `start`, and the start of the next one."""
        fields: list[bytes] = []
        limit = min(len(data), start + _LONGEST)
        while True:
            quoted = self.quoted and data[start] == _QUOTE
            match = (self._inside if quoted else self._plain).match(data, start, limit)
            if match is None:
                return Broken(OPEN, unfinished=limit == len(data))
            end = match.end()
            if quoted and data[end] not in (self.delimiter[0], _LF):
                return self._after(data, match)
            fields.append(self._unescaped(match[1].replace(b'""', b'"') if quoted else match[0]))
            if end == limit or data[end] == _LF:
                return fields, end + 1
            start = end + 1

    def _unescaped(self, value: bytes) -> bytes:
        return self._escaped.sub(rb"\1", value) if self.escape else value

    def _after(self, data: bytes, match: re.Match[bytes]) -> Broken:
        if b"\n" in match[0]:
            return Broken(OPEN)
        return Broken(AFTER if self.escape or data[match.end() - 2] != ord("\\") else ESCAPED)


@dataclass
class SplitLines:
    """Plain lines of `data` and their numbers, the records of odd lines, and broken lines.

    Lines are counted from 0. `rest` is the start of a record that needs more data.
    """

    plain: bytes
    lines: npt.NDArray[np.int64]
    records: list[tuple[int, list[bytes]]] = field(default_factory=list)
    broken: list[tuple[int, str, bytes]] = field(default_factory=list)
    rest: int = 0
    count: int = 0


def split(data: bytes, grammar: Grammar, columns: int, *, final: bool) -> SplitLines:
    """Split complete lines into plain ones, which every CSV reader splits alike, and other records.

    A quoted value may span lines if none of these lines is a row alone. Unless `final`, more data
    may follow.
    """
    array = np.frombuffer(data, dtype=np.uint8)
    ends = np.flatnonzero(array == _LF)
    starts = np.concatenate(([0], ends[:-1] + 1)) if len(ends) else ends
    odd = _odd(array, ends, grammar)
    if not odd.any():
        return SplitLines(data, np.flatnonzero(ends > starts), rest=len(data), count=len(ends))
    return _Walk(data, starts, ends, grammar, columns, final).split(odd)


class _Walk:
    """Processes the odd lines of a block in order."""

    def __init__(
        self,
        data: bytes,
        starts: npt.NDArray[np.int64],
        ends: npt.NDArray[np.int64],
        grammar: Grammar,
        columns: int,
        final: bool,
    ) -> None:
        self._data, self._starts, self._ends = data, starts, ends
        self._grammar, self._columns, self._final = grammar, columns, final
        self._result = SplitLines(
            b"", np.array([], dtype=np.int64), rest=len(data), count=len(ends)
        )
        self._closers: set[int] = set()

    def split(self, odd: npt.NDArray[np.bool_]) -> SplitLines:
        kept, result, next_line = ~odd, self._result, 0
        for line in np.flatnonzero(odd).tolist():
            if line < next_line:
                continue
            after = self._take(line)
            if after is None:  # the record continues in the next block
                kept[line:] = False
                result.rest, result.count = int(self._starts[line]), line
                break
            kept[line:after] = False
            next_line = after
        for line in self._closers:
            if kept[line]:
                kept[line] = False
                self._break(line, CLOSER)
        result.broken.sort()
        array = np.frombuffer(self._data, dtype=np.uint8)
        result.plain = array[np.repeat(kept, self._ends - self._starts + 1)].tobytes()
        result.lines = np.flatnonzero(kept & (self._ends > self._starts))
        return result

    def _take(self, line: int) -> int | None:
        """Return the line after the record of `line`; None if its end is not in the block."""
        if line in self._closers:
            return self._break(line, CLOSER)
        parsed = self._grammar.parse(self._data, int(self._starts[line]))
        if isinstance(parsed, Broken):
            waits = parsed.unfinished and not self._final
            return None if waits else self._break(line, parsed.reason)
        fields, end = parsed
        last = int(np.searchsorted(self._ends, end - 1))
        if last == line:
            return self._add(line, fields)
        if len(fields) != self._columns or any(map(self._is_row, range(line + 1, last + 1))):
            self._closers.add(last)
            return self._break(line, OPEN)
        self._result.records.append((line, fields))
        return last + 1

    def _is_row(self, line: int) -> bool:
        start, end = int(self._starts[line]), int(self._ends[line]) + 1
        parsed = self._grammar.parse(self._data[start:end], 0)
        return not isinstance(parsed, Broken) and len(parsed[0]) == self._columns

    def _add(self, line: int, fields: list[bytes]) -> int:
        if len(fields) != self._columns:
            return self._break(line, f"has {len(fields)} columns")
        self._result.records.append((line, fields))
        return line + 1

    def _break(self, line: int, reason: str) -> int:
        text = self._data[int(self._starts[line]) : int(self._ends[line])]
        self._result.broken.append((line, reason, text))
        return line + 1


def _odd(
    array: npt.NDArray[np.uint8], ends: npt.NDArray[np.int64], grammar: Grammar
) -> npt.NDArray[np.bool_]:
    """Return which lines have quotes other than RFC 4180's, an escape or a carriage return."""
    odd = np.zeros(len(ends), dtype=bool)
    for character in (_CR, *grammar.escape):
        odd[np.searchsorted(ends, np.flatnonzero(array == character))] = True
    quotes = np.flatnonzero(array == _QUOTE) if grammar.quoted else np.array([], dtype=np.int64)
    if len(quotes):
        line = np.searchsorted(ends, quotes)
        counts = np.bincount(line, minlength=len(ends))
        rank = np.arange(len(quotes)) - (np.cumsum(counts) - counts)[line]
        # An opening quote begins a field and a closing one ends it; doubled, they are one
        # character.
        fits = (grammar.delimiter[0], _LF, _QUOTE)
        before, after = array[np.maximum(quotes - 1, 0)], array[quotes + 1]
        wrong = counts % 2 == 1
        wrong[line[~np.isin(np.where(rank % 2 == 0, before, after), fits)]] = True
        # If no quote begins a field, all are plain characters, as in 5" nails.
        begins = np.isin(before, fits[:2]) | (quotes == 0)
        odd |= wrong & (np.bincount(line[begins], minlength=len(ends)) > 0)
    return odd


def carriage_returns(data: bytes, grammar: Grammar, columns: int) -> bytes:
    """Return `data` with line ends for carriage returns that separate rows."""
    if b"\r" not in data:
        return data
    lines = data.split(b"\n")[:-1]
    return b"".join(_unfolded(line, grammar, columns) + b"\n" for line in lines)


def _unfolded(line: bytes, grammar: Grammar, columns: int) -> bytes:
    if b"\r" not in line:
        return line
    parts = [grammar.parse(part + b"\n", 0) for part in line.split(b"\r")]
    rows = all(not isinstance(part, Broken) and len(part[0]) == columns for part in parts)
    return line.replace(b"\r", b"\n") if rows else line
