"""Facts by which later steps decide: when one changes, the steps that read it are stale."""

from __future__ import annotations

from datetime import date

import pytest

from jobs.core.facts import ExtractFacts, ValidateFacts
from jobs.core.identity import Run
from jobs.core.params import ExtractParams, Section
from jobs.core.settings import PROJECT, Settings
from jobs.core.steps import STEPS
from jobs.steps import frame
from jobs.steps.frame import Result, Step
from jobs.stores import lineage
from jobs.stores.lake import Lake

DAY = date(2018, 7, 10)


@pytest.fixture
def start(tmp_path, monkeypatch):
    """`start(name)`: a run of the step on a lake of its own."""
    monkeypatch.setattr(frame, "code_version", lambda: "test")
    settings = Settings(tmp_path, PROJECT / "params.yaml")
    lake = Lake(str(tmp_path / "lake"))

    def start(name, section: Section) -> Step:
        return Step(Run("fraud", name, DAY), settings, lake, section)

    return start


def extract(start, mean):
    step = start("extract", ExtractParams.model_validate({}))
    counted = {"trailing_mean": {"transactions": mean}, "transactions": 7}
    return step.finish(Result(ExtractFacts.model_validate(counted)))


@pytest.mark.parametrize(("mean", "stale"), [(100.0, []), (50.0, ["validate"])])
def test_validate_is_stale_when_the_mean_that_it_compared_with_has_changed(start, mean, stale):
    extract(start, 100.0)
    validate = start("validate", Section())
    validate.manifest("extract")
    validate.finish(Result(ValidateFacts()))
    extract(start, mean)
    manifests = lineage.manifests(validate.lake, "fraud")
    assert [run.step for run in lineage.stale(manifests, {})] == stale


def test_a_fact_that_no_step_decides_by_is_not_counted(start):
    assert extract(start, 100.0).receipt()["facts"] == {"trailing_mean": {"transactions": 100.0}}
    assert {name for name, row in STEPS.items() if row.decisive_facts} == {"extract"}
