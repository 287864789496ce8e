"""Files are what their first bytes say, whatever they are called."""

from __future__ import annotations

import bz2
import gzip
import lzma
import pickle
import sqlite3
import tarfile
import zipfile

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.orc as orc
import pyarrow.parquet as pq
import pytest

from jobs.core.errors import DataError
from jobs.source.content import is_parquet
from jobs.source.csv_file import CsvFormat
from jobs.source.files import open_file

CSV = b"id,name\n1,a\n2,b\n"
TABLE = pa.table({"id": ["1", "2"], "name": ["a", "b"]})


def zipped(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def arrow(codec):
    def write(path):
        with pa.CompressedOutputStream(str(path), codec) as stream:
            stream.write(CSV)

    return write


READ = {
    "a.csv": lambda path: path.write_bytes(CSV),
    "A.CSV": lambda path: path.write_bytes(CSV),
    "a.csv.gz": lambda path: path.write_bytes(gzip.compress(CSV)),
    "a.GZ": lambda path: path.write_bytes(gzip.compress(CSV)),
    "gzip.csv": lambda path: path.write_bytes(gzip.compress(CSV)),
    "two members.csv.gz": lambda path: path.write_bytes(
        gzip.compress(CSV[:10]) + gzip.compress(CSV[10:])
    ),
    "a.bz2": lambda path: path.write_bytes(bz2.compress(CSV)),
    "a.xz": lambda path: path.write_bytes(lzma.compress(CSV)),
    "a.zst": arrow("zstd"),
    "a.lz4": arrow("lz4"),
    "a.zip": lambda path: zipped(
        path, {"folder/": b"", "folder/a.csv": CSV, "__MACOSX/._a.csv": b"x"}
    ),
    "a.parquet": lambda path: pq.write_table(TABLE, path),
    "A.PARQUET": lambda path: pq.write_table(TABLE, path),
    "parquet.csv": lambda path: pq.write_table(TABLE, path),
}


@pytest.mark.parametrize("name", READ)
def test_what_is_read_whatever_it_is_called(tmp_path, name):
    path = tmp_path / name
    READ[name](path)
    file = open_file(path, CsvFormat())
    tables = [pa.table(batch.data) for batch in file.batches(["id", "name"])]
    assert pa.concat_tables(tables).to_pydict() == TABLE.to_pydict()
    assert is_parquet(path) == ("arquet" in name.lower())


def parquet_in(compress):
    def write(path):
        pq.write_table(TABLE, path)
        path.write_bytes(compress(path.read_bytes()))

    return write


def tarred(path):
    with tarfile.open(path, "w:gz") as archive:
        archive.add(__file__)


def database(path):
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (x)")
    connection.close()


REFUSED = {
    "a zip archive of 2 files (a.csv, b.csv)": lambda path: zipped(
        path, {"a.csv": CSV, "b.csv": CSV}
    ),
    "a zip archive of 0 files": lambda path: zipped(path, {}),
    "an Excel workbook": lambda path: zipped(
        path, {"[Content_Types].xml": "", "xl/workbook.xml": ""}
    ),
    "a compressed parquet file": parquet_in(gzip.compress),
    "compressed twice": lambda path: path.write_bytes(gzip.compress(gzip.compress(CSV))),
    "a tar archive, compressed": tarred,
    "an Arrow IPC (Feather) file": lambda path: feather.write_feather(TABLE, path),
    "an ORC file": lambda path: orc.write_table(TABLE, path),
    "a Python pickle": lambda path: path.write_bytes(pickle.dumps(CSV)),
    "an SQLite database": database,
    "JSON": lambda path: path.write_bytes(b'{"id": 1}\n{"id": 2}\n'),
    "JSON, compressed": lambda path: path.write_bytes(gzip.compress(b'[\n {"id": 1}]')),
    "a web page or XML": lambda path: path.write_bytes(b"<!DOCTYPE html><html>404</html>"),
    "a PDF document": lambda path: path.write_bytes(b"%PDF-1.7\n"),
    "a 7z archive": lambda path: path.write_bytes(b"7z\xbc\xaf\x27\x1c" + bytes(40)),
}


@pytest.mark.parametrize("what", REFUSED)
@pytest.mark.parametrize("name", ["export.csv", "export"])
def test_what_is_not_read_is_named(tmp_path, what, name):
    path = tmp_path / name
    REFUSED[what](path)
    with pytest.raises(DataError) as failed:
        list(open_file(path, CsvFormat()).batches(["id"]))
    assert f"the file is {what}" in str(failed.value)
    assert str(path) in str(failed.value)
    assert failed.value.remedy


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_a_compressed_file_that_is_cut_or_damaged_is_named(tmp_path, compress, kept):
    path = tmp_path / "rows.csv"
    content = compress(
        b"id,name\n" + b"".join(b"%d,%d\n" % (row, row * row) for row in range(40_000))
    )
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(DataError, match="cannot be read as CSV") as failed:
        list(open_file(path, CsvFormat()).batches(["id"]))
    assert str(path) in str(failed.value)
