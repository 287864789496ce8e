"""Which files a pattern names."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.core.errors import DataError
from jobs.source.files import expand
from jobs.source.parquet_file import ParquetFile
from odd_places import NAMES, WORST


@pytest.mark.parametrize("name", [*NAMES, WORST, "what?"])
def test_a_folder_may_be_called_like_a_pattern(name, tmp_path):
    (folder := tmp_path / name).mkdir()
    files = [folder / "a.parquet", folder / f"b{name[:20]}"]
    for file in files:
        pq.write_table(pa.table({"id": [1]}), pa.OSFile(str(file), "wb"))
        assert expand([str(file)]) == [file]
    assert sorted(expand([f"{folder}/*"])) == sorted(files)
    assert expand([f"{folder}/?.parquet"]) == files[:1]
    assert len(list(ParquetFile(files[1]).batches(["id"]))) == 1


def test_a_pattern_still_crosses_folders(tmp_path):
    for name in ("a/x.csv", "b/x.csv", "b/c/x.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    assert len(expand([f"{tmp_path}/*/x.csv"])) == 2 and len(expand([f"{tmp_path}/**/x.csv"])) == 3
    with pytest.raises(DataError, match="no file matches"):
        expand([f"{tmp_path}/[ab].csv"])
