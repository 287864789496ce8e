"""Tables of every type, written by every program: a load keeps the rows or refuses by name.

It refuses the file or the row.
"""

from __future__ import annotations

import pyarrow as pa
import pytest
import writers
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from jobs.core.errors import DataError

QUICK = settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
DEEP = settings(QUICK, max_examples=600)

# What a program raises for a table that has types which it cannot write.
UNKNOWN = (pa.ArrowException, NotImplementedError, TypeError, ValueError, KeyError)


def written(writer, table, path):
    """Whether the program has these types."""
    try:
        writer(table, path)
    except UNKNOWN as error:
        event(f"not written: {type(error).__name__}")
        return False
    except BaseException as error:
        if type(error).__module__.partition(".")[0] in (
            "polars",
            "duckdb",
            "_duckdb",
            "pyo3_runtime",
        ):
            event(f"not written: {type(error).__name__}")
            return False
        raise
    return True


def parquet(name, table, path):
    if not written(writers.PARQUET[name], table, path):
        return
    try:
        loaded = writers.load(path)
    except DataError as error:
        # A program may store a type as another one: times as numbers, half floats as bytes.
        assert writers.refused(table, error), error
        event("refused")
        return
    event("loaded")
    writers.check(table, loaded, lossy=name == "pandas")


def comma_separated(name, table, path):
    if not written(writers.CSV[name], table, path):
        return
    loaded = writers.load(path)
    event("loaded")
    writers.check(table, loaded, lossy=name.startswith("pandas"), typed=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("written")


@pytest.mark.parametrize("name", writers.PARQUET)
@QUICK
@given(writers.tables())
def test_parquet(folder, name, table):
    parquet(name, table, folder / "rows.parquet")


@pytest.mark.parametrize("name", writers.CSV)
@QUICK
@given(writers.tables(texts=writers.TEXTS))
def test_csv(folder, name, table):
    comma_separated(name, table, folder / "rows.csv")


@pytest.mark.slow
@pytest.mark.parametrize("name", writers.PARQUET)
@DEEP
@given(writers.tables())
def test_parquet_deeper(folder, name, table):
    parquet(name, table, folder / "rows.parquet")


@pytest.mark.slow
@pytest.mark.parametrize("name", writers.CSV)
@DEEP
@given(writers.tables(texts=writers.TEXTS | writers.BROKEN_TEXTS))
def test_csv_deeper(folder, name, table):
    comma_separated(name, table, folder / "rows.csv")


@QUICK
@given(writers.tables(never=True), st.sampled_from(["pyarrow", "polars", "DuckDB"]))
def test_a_type_that_is_not_read_is_refused_by_name(folder, table, name):
    path = folder / "rows.parquet"
    if not written(writers.PARQUET[name], table, path):
        return
    with pytest.raises(DataError) as failed:
        writers.load(path)
    assert writers.refused(table, failed.value)
    assert failed.value.remedy
