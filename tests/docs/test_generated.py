import runpy

import pytest

from jobs.cli.discovery import find_tables
from jobs.core.pipelines import PIPELINES
from jobs.core.settings import PROJECT
from jobs.steps.records import RECORDS
from jobs.usecases.discovery import find_usecase

PAGES = runpy.run_path(str(PROJECT / "docs" / "generate.py"))["pages"]()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_generated_page_says_what_the_code_says(path):
    assert path.read_text() == PAGES[path], f"{path.name} is out of date: run `make docs`"


def test_no_contract_outlives_its_table():
    assert set((PROJECT / "docs" / "contracts").iterdir()) <= set(PAGES)


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_every_column_has_a_meaning(pipeline):
    usecase = find_usecase(pipeline)
    published = (*usecase.aggregates, *usecase.predictions, *RECORDS)
    tables = (*usecase.sources, *published, *find_tables(pipeline))
    silent = [
        f"{table.name}.{column.name}"
        for table in tables
        for column in table.columns
        if not column.meaning
    ]
    assert not silent, f"give these a meaning: {', '.join(silent)}"


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_every_parameter_has_a_meaning(pipeline):
    silent = [
        f"{pipeline}.{step}.{name}"
        for step, section in find_usecase(pipeline).params.items()
        for name, field in section.model_fields.items()
        if not field.description
    ]
    assert not silent, f"give these a description: {', '.join(silent)}"
