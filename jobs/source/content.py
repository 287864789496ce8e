"""Recognise a file by its first bytes, not its name: compressed, parquet, text or unsupported."""

from __future__ import annotations

import lzma
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from jobs.core.errors import DataError

PARQUET = (".parquet", ".pq")

_HEAD = 512
_ARROW_CODECS = (
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bz2"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x04\x22\x4d\x18", "lz4"),
)
_XZ, _ZIP, _EMPTY_ZIP, _PARQUET = b"\xfd7zXZ\x00", b"PK\x03\x04", b"PK\x05\x06", b"PAR1"
_COMPRESSED = (*(magic for magic, _ in _ARROW_CODECS), _XZ, _ZIP)

_AS_PARQUET = "write it as CSV or parquet"
_UNPACK = "unpack it, and load the files in it"
_NOT_READ = (
    (rb"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (rb"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    (rb".{257}ustar", "a tar archive", _UNPACK),
    (rb"\x1f\x9d", "a file of the program compress (.Z)", _UNPACK),
    (rb"\xff\x06\x00\x00sNaPpY", "a Snappy file", _UNPACK),
    (rb"PARE", "an encrypted parquet file", "decrypt it"),
    (rb"""ORC[^\w ,;|\t"']""", "an ORC file", _AS_PARQUET),
    (rb"Obj\x01", "an Avro file", _AS_PARQUET),
    (rb"ARROW1|FEA1", "an Arrow IPC (Feather) file", _AS_PARQUET),
    (rb"\x89HDF", "an HDF5 file", _AS_PARQUET),
    (rb"\x80[\x02-\x05][\x00-\x1f\x80-\xff]", "a Python pickle", _AS_PARQUET),
    (rb"SQLite format 3\x00", "an SQLite database", _AS_PARQUET),
    (rb".{8}DUCK", "a DuckDB database", _AS_PARQUET),
    (rb"\xd0\xcf\x11\xe0", "an Excel workbook", "save it as CSV"),
    (rb"%PDF-", "a PDF document", _AS_PARQUET),
    (rb"(?i)\s*<(!doctype|html|\?xml)", "a web page or XML", "download the file itself"),
    (
        rb'\s*(\[\s*)?\{\s*("|\})',
        "JSON",
        "convert it, for example: duckdb -c \"COPY (FROM 'file.json') TO 'file.parquet'\"",
    ),
)


def is_parquet(path: Path) -> bool:
    """Whether `path` is a parquet file by content, or by name if it is not compressed text."""
    head = _head(path)
    named = path.suffix.lower() in PARQUET and not head.startswith(_COMPRESSED)
    return head.startswith(_PARQUET) or named


class ByteStream(Protocol):
    """A file, or what decompresses it."""

    def read(self, size: int = -1, /) -> bytes: ...


@contextmanager
def text_bytes(path: Path) -> Iterator[tuple[BufferedReader, ByteStream]]:
    """Yield (the file, its content as a byte stream), decompressed according to its first bytes.

    DataError, which names the format, if the content is not text; also if it cannot be
    decompressed.
    """
    with path.open("rb") as raw, readable(path, "CSV"):
        yield raw, _decompressed(raw, path)


def first_bytes(path: Path, size: int) -> bytes:
    """Return the first bytes of a text file's content; see text_bytes."""
    with text_bytes(path) as (_, stream):
        return bytes(stream.read(size))


@contextmanager
def readable(path: Path, form: str) -> Iterator[None]:
    """Turn the libraries' errors for a truncated or damaged file into DataError."""
    try:
        yield
    except (
        pa.ArrowException,
        OSError,
        EOFError,
        lzma.LZMAError,
        zlib.error,
        zipfile.BadZipFile,
    ) as error:
        raise DataError(
            f"it cannot be read as {form}: {(str(error) or type(error).__name__).splitlines()[0]}",
            input=str(path),
            remedy="copy it again and compare the sizes: it may be truncated",
        ) from error


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD)


def _decompressed(raw: BufferedReader, path: Path) -> ByteStream:
    head = _head(path)
    stream = _stream(raw, path, head)
    if stream is raw:
        _refuse(path, head, "")
        return raw
    # A second stream looks at the decompressed content, since a stream cannot be rewound.
    with path.open("rb") as again:
        _refuse(path, bytes(_stream(again, path, head).read(_HEAD)), "compressed ")
    return stream


def _stream(raw: BufferedReader, path: Path, head: bytes) -> ByteStream:
    if head.startswith(_XZ):
        return lzma.LZMAFile(raw)
    if head.startswith((_ZIP, _EMPTY_ZIP)):
        return _only_member(zipfile.ZipFile(raw), path)
    codec = next((codec for magic, codec in _ARROW_CODECS if head.startswith(magic)), None)
    return pa.CompressedInputStream(raw, codec) if codec else raw


def _only_member(archive: zipfile.ZipFile, path: Path) -> ByteStream:
    members = [
        item for item in archive.infolist() if not item.is_dir() and "__MACOSX" not in item.filename
    ]
    names = [item.filename for item in members]
    if "[Content_Types].xml" in names:
        raise _not_read(path, "an Excel workbook", "save it as CSV")
    if len(members) != 1:
        listed = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
        what = (
            f"a zip archive of {len(names)} files ({listed}); only an archive of one file is read"
        )
        raise _not_read(path, what, _UNPACK)
    if members[0].flag_bits & 1:
        raise _not_read(path, "a zip archive with a password", _UNPACK)
    return archive.open(members[0])


def _refuse(path: Path, head: bytes, compressed: str) -> None:
    if head.startswith(_PARQUET):
        remedy = (
            "decompress it first" if compressed else "leave --format out, or use --format parquet"
        )
        raise _not_read(path, f"a {compressed}parquet file", remedy)
    if compressed and head.startswith(_COMPRESSED):
        raise _not_read(path, "compressed twice", "decompress it first")
    for pattern, what, remedy in _NOT_READ:
        if re.match(pattern, head, re.DOTALL):
            raise _not_read(path, f"{what}, {compressed}".rstrip(", "), remedy)


def _not_read(path: Path, what: str, remedy: str) -> DataError:
    return DataError(
        f"the file is {what}; only CSV, parquet, and the text files of MovieLens and Netflix are "
        "read",
        input=str(path),
        remedy=remedy,
    )
