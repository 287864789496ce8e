"""A CSV file, read block by block; every column comes as text."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pa_csv

from jobs.core.errors import ConfigError, DataError
from jobs.source.batch import Batch, Rejected

_BLOCK = 4 << 20
_CODECS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".lz4": "lz4"}


@dataclass(frozen=True)
class CsvFormat:
    """How a CSV file is written. With `names`, the file has no header.

    Raises ConfigError for an encoding that Python does not know and a delimiter of several characters.
    """

    encoding: str = "utf-8"
    delimiter: str = ","
    names: tuple[str, ...] | None = None
    quoted: bool = True

    def __post_init__(self) -> None:
        try:
            codecs.lookup(self.encoding)
        except LookupError:
            raise ConfigError(
                f"there is no encoding {self.encoding!r}",
                remedy="use --encoding utf-8, latin-1, cp1252, utf-16 or another one that Python knows",
            ) from None
        if len(self.delimiter) != 1:
            raise ConfigError(
                f"the delimiter {self.delimiter!r} is not one character", remedy=r"use , ; | or \t"
            )


class CsvFile:
    """See batch.File. The first line is the header, if there is one; .gz, .bz2, .zst and .lz4 are decompressed.

    A line that has not as many columns as the header is malformed. Raises DataError when the file is empty,
    its quotes do not match, or its bytes are no text of the given encoding.
    """

    def __init__(self, path: Path, form: CsvFormat, block: int = _BLOCK) -> None:
        self.path, self._form, self._block = path, form, block
        if path.stat().st_size == 0:
            lacks = "" if form.names else ", without even a header"
            raise DataError(f"the file is empty{lacks}", input=str(path), remedy="export it again")
        self._malformed: list[Rejected] = []
        with self._readable(), self._open(pa.OSFile(str(path)), None) as reader:
            self.schema = pa.schema([(name, pa.string()) for name in reader.schema.names])

    def batches(self, columns: list[str]) -> Iterator[Batch]:
        self._malformed.clear()
        good, told, size = 0, 0, self.path.stat().st_size
        with self._readable(), pa.OSFile(str(self.path)) as raw, self._open(raw, columns) as reader:
            for data in reader:
                malformed = self._malformed[told:]
                yield Batch(data, self._numbers(good, len(data)), raw.tell() / size, malformed)
                good, told = good + len(data), told + len(malformed)
            if malformed := self._malformed[told:]:
                nothing = reader.schema.empty_table()
                yield Batch(nothing, self._numbers(good, 0), 1.0, malformed)

    def _open(self, raw: Any, columns: list[str] | None) -> Any:
        form = self._form
        return pa_csv.open_csv(
            decompressed(raw, self.path),
            # One thread: only then are malformed lines told with their numbers.
            pa_csv.ReadOptions(
                encoding=form.encoding, block_size=self._block, use_threads=False, column_names=form.names
            ),
            pa_csv.ParseOptions(
                delimiter=form.delimiter,
                quote_char='"' if form.quoted else False,
                newlines_in_values=form.quoted,
                invalid_row_handler=self._skip,
            ),
            pa_csv.ConvertOptions(
                include_columns=columns, column_types=dict.fromkeys(columns or [], pa.string())
            ),
        )

    def _skip(self, line: Any) -> str:
        header = self._form.names is None
        wanted = (
            f"the header has {line.expected_columns}"
            if header
            else f"there should be {line.expected_columns}"
        )
        reason = f"has {line.actual_columns} columns where {wanted}"
        self._malformed.append(Rejected(line.number - header, reason, line.text))
        return "skip"

    def _numbers(self, good: int, count: int) -> npt.NDArray[np.int64]:
        """The row numbers of the `count` rows after the first `good` ones, malformed lines counted too."""
        malformed = np.array([line.row for line in self._malformed], dtype=np.int64)
        index = np.arange(good, good + count)
        before = np.searchsorted(malformed - 1 - np.arange(len(malformed)), index, side="right")
        return index + 1 + before

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._broken(error, "it may be cut short: copy it again and compare the sizes") from error
        except (pa.ArrowException, UnicodeError) as error:
            broken = self._broken(error, "check its quotes, its header and --delimiter")
            raise self._undecodable() or broken from error

    def _broken(self, error: Exception, remedy: str) -> DataError:
        what = f"it cannot be read as CSV: {str(error).splitlines()[0]}"
        return DataError(what, input=str(self.path), remedy=remedy)

    def _undecodable(self) -> DataError | None:
        decoder = codecs.getincrementaldecoder(self._form.encoding)()
        done = 0
        with pa.OSFile(str(self.path)) as raw, decompressed(raw, self.path) as stream:
            while True:
                block = stream.read(_BLOCK)
                pending = len(decoder.getstate()[0])
                try:
                    decoder.decode(block, final=not block)
                except UnicodeDecodeError as error:
                    return self._decode_error(done - pending + error.start, error)
                if not block:
                    return None
                done += len(block)

    def _decode_error(self, offset: int, error: UnicodeDecodeError) -> DataError:
        wrong = error.object[error.start : error.end].hex(" ")
        return DataError(
            f"the bytes {wrong} at offset {offset} are no {self._form.encoding} text",
            input=str(self.path),
            remedy="name the encoding of the file, for example --encoding latin-1, cp1252 or utf-16",
        )


def decompressed(raw: Any, path: Path) -> Any:
    """The bytes of the open file `raw`, decompressed as the suffix of `path` says."""
    codec = _CODECS.get(path.suffix)
    return pa.CompressedInputStream(raw, codec) if codec else raw
