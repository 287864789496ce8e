"""Files without a header that have longer separators than one character, or flags."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from jobs.source.batch import Batch, InputFile, Rejected
from jobs.source.converted import mask
from jobs.source.csv_file import CsvFile

LINE = "line"


class Lines:
    """A batch.File with the groups of `pattern` as columns.

    A line that does not match is malformed.

    `file` has the single column `line`. `reason` is that of malformed lines.
    """

    def __init__(self, file: CsvFile, pattern: str, reason: str) -> None:
        self.path = file.path
        self.schema = pa.schema([(name, pa.string()) for name in re.compile(pattern).groupindex])
        self._file, self._pattern, self._reason = file, pattern, reason

    def batches(self, columns: list[str]) -> Iterator[Batch]:
        for batch in self._file.batches([LINE]):
            line = batch.data[LINE]
            parts = pc.extract_regex(line, self._pattern)
            whole = mask(pc.is_valid(parts))
            data = pa.table({name: pc.struct_field(parts, name) for name in columns})
            broken = zip(
                batch.rows[~whole].tolist(), line.filter(pa.array(~whole)).to_pylist(), strict=True
            )
            malformed = [Rejected(row, self._reason, text) for row, text in broken]
            good = data.filter(pa.array(whole))
            yield Batch(good, batch.rows[whole], batch.share, batch.malformed + malformed)


class Headed:
    """A batch.File with lines that match `header` and give the column `name` of later lines."""

    def __init__(self, file: CsvFile, header: str, pattern: str, name: str, reason: str) -> None:
        self.path = file.path
        self._lines = Lines(file, f"{header}|{pattern}", reason)
        self.schema = self._lines.schema
        self._name = name

    def batches(self, columns: list[str]) -> Iterator[Batch]:
        last = pa.scalar(None, pa.string())
        for batch in self._lines.batches(self.schema.names):
            titles = batch.data[self._name].combine_chunks()
            heads = mask(pc.not_equal(titles, ""))
            marked = pa.concat_arrays(
                [pa.array([last.as_py()], pa.string()), pc.if_else(heads, titles, None)]
            )
            filled = pc.fill_null_forward(marked)
            last, rows = filled[-1], pa.array(~heads)
            place = self.schema.get_field_index(self._name)
            data = (
                batch.data.set_column(place, self._name, filled.slice(1))
                .filter(rows)
                .select(columns)
            )
            yield Batch(data, batch.rows[~heads], batch.share, batch.malformed)


class Flagged:
    """A batch.File that combines the columns `flags`, "1" or not, to one column: `A|B`."""

    def __init__(self, file: InputFile, flags: tuple[str, ...], name: str) -> None:
        self.path = file.path
        kept = [field for field in file.schema if field.name not in flags]
        self.schema = pa.schema([*kept, (name, pa.string())])
        self._file, self._flags, self._name = file, flags, name

    def batches(self, columns: list[str]) -> Iterator[Batch]:
        plain = [name for name in columns if name != self._name]
        for batch in self._file.batches([*plain, *self._flags]):
            data = pa.table({name: batch.data[name] for name in plain})
            if self._name in columns:
                data = data.append_column(self._name, self._joined(batch))
            yield Batch(data, batch.rows, batch.share, batch.malformed)

    def _joined(self, batch: Batch) -> pa.Array:
        flags = [
            pc.if_else(pc.equal(batch.data[flag], "1"), f"{flag}|", "") for flag in self._flags
        ]
        return pc.utf8_rtrim(pc.binary_join_element_wise(*flags, ""), "|")
