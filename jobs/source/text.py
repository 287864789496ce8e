"""Read a text file of any encoding, compression and line ends as blocks of lines in UTF-8."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from jobs.core.errors import DataError
from jobs.source.content import text_bytes

BLOCK = 4 << 20
_LONGEST_LINE = 64 << 20
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class Block(NamedTuple):
    """Complete lines that end with a line feed, and the share of the file read so far."""

    data: bytes
    share: float


def blocks(path: Path, encoding: str, size: int = BLOCK) -> Iterator[Block]:
    """Yield the text of `path`; a byte order mark takes precedence over `encoding`.

    Line ends become line feeds: CR LF always, CR only in a file without line feeds. The last line
    may lack its end. DataError for content that is not text, and for a line longer than 64 MiB.
    """
    total = path.stat().st_size
    with text_bytes(path) as (raw, stream):
        rest, old_mac, decode = b"", None, None
        while content := bytes(stream.read(size)):
            decode = decode or _Decoder(content, encoding)
            data = rest + decode(content, False)
            if old_mac is None and (b"\n" in data or re.search(rb"\r[^\r]", data)):
                old_mac = b"\n" not in data
            data, rest = _whole_lines(data, bool(old_mac))
            if len(rest) > _LONGEST_LINE:
                raise _too_long(path)
            if data:
                yield Block(data, raw.tell() / total)
        rest += decode(b"", True) if decode else b""
        if rest:
            yield Block(_line_feeds(rest + b"\n", bool(old_mac)), 1.0)


def undecodable(path: Path, encoding: str) -> DataError | None:
    """Return the error for the first bytes of `path` that `encoding` cannot decode.

    None without any.
    """
    decoder, done = None, 0
    with text_bytes(path) as (_, stream):
        while True:
            block = bytes(stream.read(BLOCK))
            name = _marked(block, encoding) if decoder is None else encoding
            decoder = decoder or codecs.getincrementaldecoder(name)()
            pending = len(decoder.getstate()[0])
            try:
                decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                return _decode_error(path, done - pending + error.start, error, name)
            if not block:
                return None
            done += len(block)


def _marked(start: bytes, encoding: str) -> str:
    return next((name for mark, name in _BOMS if start.startswith(mark)), encoding)


class _Decoder:
    """Converts bytes of `encoding` to UTF-8.

    UTF-8 is passed through, since columns are checked later.
    """

    def __init__(self, start: bytes, encoding: str) -> None:
        name = _marked(start, encoding)
        plain = codecs.lookup(name).name
        self._skip = len(codecs.BOM_UTF8) if start.startswith(codecs.BOM_UTF8) else 0
        self._decoder = (
            None if plain in ("utf-8", "utf-8-sig") else codecs.getincrementaldecoder(name)()
        )

    def __call__(self, content: bytes, final: bool) -> bytes:
        if self._decoder is not None:
            return self._decoder.decode(content, final).encode()
        skipped, self._skip = content[self._skip :], 0
        return skipped


def _whole_lines(data: bytes, old_mac: bool) -> tuple[bytes, bytes]:
    # A CR at the end of a block may be half of a CR LF, so it stays for the next block.
    end = data.rfind(b"\r", 0, len(data) - 1) if old_mac else data.rfind(b"\n")
    return _line_feeds(data[: end + 1], old_mac), data[end + 1 :]


def _line_feeds(data: bytes, old_mac: bool) -> bytes:
    while b"\r\n" in data:  # again where a CR CR LF has become CR LF
        data = data.replace(b"\r\n", b"\n")
    return data.replace(b"\r", b"\n") if old_mac else data


def _too_long(path: Path) -> DataError:
    return DataError(
        "a line is longer than 64 MiB",
        input=str(path),
        remedy="check that it is CSV with one row per line",
    )


def _decode_error(path: Path, offset: int, error: UnicodeDecodeError, encoding: str) -> DataError:
    wrong = error.object[error.start : error.end].hex(" ")
    return DataError(
        f"the bytes {wrong} at offset {offset} are no {encoding} text",
        input=str(path),
        remedy="pass the encoding of the file, for example --encoding latin-1, cp1252 or utf-16",
    )
