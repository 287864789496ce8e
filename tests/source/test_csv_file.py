"""CSV files as they come: encodings, broken lines, row numbers."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.core.errors import ConfigError, DataError
from jobs.source.csv_file import CsvFile, CsvFormat


def read(path, columns=("id", "name"), form=None, **options):
    """(row number, values) of every good row, and the malformed ones."""
    good, malformed, share = [], [], 0.0
    for batch in CsvFile(path, form or CsvFormat(), **options).batches(list(columns)):
        values = zip(*(batch.data[name].to_pylist() for name in columns), strict=True)
        good += zip(batch.rows.tolist(), values, strict=True)
        malformed += batch.malformed
        assert share <= batch.share <= 1
        share = batch.share
    return good, malformed


@settings(max_examples=30, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=400), st.integers(64, 300))
def test_every_row_keeps_its_number_whatever_lines_are_malformed_and_however_blocks_fall(
    tmp_path_factory, whole, block
):
    path = tmp_path_factory.mktemp("csv") / "rows.csv"
    lines = [
        f"{row},name {row}" if good else f"{row},too,many"
        for row, good in enumerate(whole, start=1)
    ]
    path.write_text("\n".join(["id,name", *lines, ""]))
    good, malformed = read(path, block=block)
    assert good == [(row + 1, (str(row), f"name {row}")) for row in np.flatnonzero(whole) + 1]
    assert [line.row for line in malformed] == (np.flatnonzero(~np.array(whole)) + 2).tolist()
    assert {line.reason for line in malformed} <= {"has 3 columns where the header has 2"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "cp1252", "utf-16"])
def test_encodings_are_decoded(tmp_path, encoding):
    path = tmp_path / "rows.csv"
    path.write_bytes('id,name\n1,Zürich\n2,"Genève, VD"\n'.encode(encoding))
    assert read(path, form=CsvFormat(encoding))[0] == [
        (2, ("1", "Zürich")),
        (3, ("2", "Genève, VD")),
    ]


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes("id,name\n1,a\n".encode("utf-8-sig"))
    assert read(path)[0] == [(2, ("1", "a"))]


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("padding", [0, 9_000_000])
def test_bytes_of_another_encoding_are_told_with_their_offset(tmp_path, compressed, padding):
    text = b"id,name\n" + b"1,a\n" * (padding // 4) + "2,Zürich\n".encode("latin-1")
    path = tmp_path / ("rows.csv.gz" if compressed else "rows.csv")
    path.write_bytes(gzip.compress(text, 1) if compressed else text)
    with pytest.raises(DataError) as failed:
        read(path)
    assert f"the bytes fc at offset {text.index(0xFC)} are no utf-8 text" in str(failed.value)
    assert str(path) in str(failed.value)
    assert "--encoding latin-1" in str(failed.value)


def test_a_header_of_another_encoding_is_told_as_well(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes("id,größe\n1,a\n".encode("latin-1"))
    with pytest.raises(DataError, match="offset 5 are no utf-8 text"):
        CsvFile(path, CsvFormat())


def test_an_encoding_that_does_not_exist():
    with pytest.raises(ConfigError, match="there is no encoding 'utf-99'"):
        CsvFormat("utf-99")


def test_a_delimiter_of_two_characters():
    with pytest.raises(ConfigError, match="the delimiter '::' is not one character"):
        CsvFormat(delimiter="::")


def test_an_empty_file_is_told_and_a_header_alone_is_no_rows(tmp_path):
    empty, header = tmp_path / "empty.csv", tmp_path / "header.csv"
    empty.touch()
    header.write_text("id,name\n")
    with pytest.raises(DataError, match="empty, without even a header"):
        CsvFile(empty, CsvFormat())
    assert read(header) == ([], [])


def test_quoted_newlines_are_part_of_a_value(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text('id;name\n1;"two\nlines"\n2;b\n')
    assert sorted(read(path, form=CsvFormat(delimiter=";"))[0]) == [
        (2, ("1", "two\nlines")),
        (4, ("2", "b")),
    ]


def test_a_file_cut_in_a_compressed_block_is_told(tmp_path):
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(gzip.compress(b"id,name\n" + b"1,a\n" * 100_000)[:-200])
    with pytest.raises(DataError, match="cannot be read as CSV"):
        read(path)
