"""Facts of steps: typed for readers, and in manifests the JSON that the last release wrote."""

from __future__ import annotations

import inspect
from datetime import date

import pytest

from jobs.core import facts
from jobs.core.errors import DataError
from jobs.core.facts import ExtractFacts, Facts, PublishFacts, TrainFacts, ValidateFacts
from jobs.core.manifest import Manifest, utc_now
from jobs.core.receipt import Decisions
from jobs.core.steps import STEPS

EXTRACT = {"transactions": 7, "trailing_mean": {"transactions": 7.0}}
VALIDATE = {"transactions": 6, "quarantine-transactions": {"missing amount": 1}}
TRAIN = {
    "device": "cpu",
    "model_version": "3",
    "metrics": {"frauds": 12, "auc": 0.5, "undefined": None},
    "blend": [0.25, 0.75],
    "rounds": 40,
}


def manifest(step, content):
    return Manifest(
        pipeline="fraud",
        step=step,
        date=date(2018, 7, 10),
        attempt="a",
        params_digest="",
        code_version="",
        facts=content,
        started=utc_now(),
        ended=utc_now(),
    )


@pytest.mark.parametrize(
    ("model", "content"),
    [(ExtractFacts, EXTRACT), (ValidateFacts, VALIDATE), (TrainFacts, TRAIN)],
)
def test_facts_are_stored_as_they_were_read(model, content):
    stored = Manifest.from_bytes(manifest(model.step, content).to_bytes())
    assert repr(sorted(model.of(stored).to_json().items())) == repr(sorted(content.items()))


def test_a_fact_without_a_message_is_left_out():
    published = {"version": "v", "state": "current", "served": True, "loaded": [], "dropped": []}
    assert PublishFacts.model_validate(published).to_json() == published


def test_facts_that_cannot_be_read_name_the_key_and_the_step():
    with pytest.raises(DataError, match="trailing_mean") as error:
        ExtractFacts.of(manifest("extract", {"transactions": 7}))
    assert "run extract of that day again" in error.value.remedy


def test_every_step_has_facts():
    models = [
        model
        for _, model in inspect.getmembers(facts, inspect.isclass)
        if issubclass(model, Facts) and hasattr(model, "step")
    ]
    assert sorted(model.step for model in models) == sorted(STEPS)


def test_every_decision_of_a_receipt_is_a_fact_of_a_step():
    fields = {name for kind in vars(facts).values() if is_facts(kind) for name in kind.model_fields}
    assert Decisions.__annotations__.keys() <= fields


def is_facts(kind):
    return inspect.isclass(kind) and issubclass(kind, Facts)
