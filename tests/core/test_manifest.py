"""The manifest: what it keeps, and what its content digest stands for."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import pytest
from pydantic import ValidationError

from jobs.core.errors import DataError
from jobs.core.manifest import Dataset, Manifest, manifest_name

GOOD = Dataset(
    name="transactions", path="fraud/validate/2018-07-10/t-1.parquet", rows=3, digest="aa"
)
BAD = Dataset(name="quarantine", path="fraud/validate/2018-07-10/q-2.parquet", rows=0, digest="bb")


def manifest(**changes) -> Manifest:
    fields = {
        "pipeline": "fraud",
        "step": "validate",
        "date": date(2018, 7, 10),
        "attempt": "a1",
        "inputs": [GOOD, BAD],
        "outputs": [GOOD, BAD],
        "reads": {"fraud/extract/2018-07-10": "cc"},
        "missing_days": [date(2018, 7, 1)],
        "params_digest": "p",
        "code_version": "c",
        "model_digest": None,
        "checks": [
            {
                "name": "rows",
                "passed": True,
                "value": 3.0,
                "threshold": 3.0,
                "severity": "fail",
                "message": "ü",
            }
        ],
        "facts": {"rows": 3, "shares": [0.1, None]},
        "started": datetime(2018, 7, 11, 2, tzinfo=UTC),
        "ended": datetime(2018, 7, 11, 2, 1, tzinfo=UTC),
    }
    return Manifest(**{**fields, **changes})


def test_it_comes_back_as_it_was():
    assert Manifest.from_bytes(manifest().to_bytes()) == manifest()


def test_it_is_written_the_same_each_time():
    assert Manifest.from_bytes(manifest().to_bytes()).to_bytes() == manifest().to_bytes()


def test_its_name():
    assert (
        manifest().name
        == manifest_name("fraud", "validate", date(2018, 7, 10))
        == "fraud/validate/2018-07-10"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"attempt": "a2"},
        {"started": datetime(2020, 1, 1, tzinfo=UTC), "ended": datetime(2020, 1, 2, tzinfo=UTC)},
        {"inputs": [BAD, GOOD]},
        {"outputs": [BAD, GOOD]},
        {"outputs": [GOOD.model_copy(update={"path": "elsewhere"}), BAD]},
        {"code_version": "d"},
        {"facts": {"seconds": 4}},
    ],
)
def test_who_ran_when_and_in_which_order_is_not_its_content(changes):
    assert manifest(**changes).content == manifest().content


@pytest.mark.parametrize(
    "changes",
    [
        {"outputs": [GOOD]},
        {"outputs": [GOOD.model_copy(update={"digest": "ff"}), BAD]},
        {"outputs": [GOOD.model_copy(update={"rows": 4}), BAD]},
        {"outputs": [GOOD.model_copy(update={"name": "other"}), BAD]},
        {"model_digest": "m"},
        {"step": "extract"},
        {"pipeline": "movies"},
        {"date": date(2018, 7, 11)},
    ],
)
def test_what_was_produced_is(changes):
    assert manifest(**changes).content != manifest().content


def test_a_fact_by_which_later_steps_decide_is():
    one, other = (manifest(facts={"mean": n, "seconds": n}, decisive=["mean"]) for n in (1.5, 2.5))
    assert one.content != other.content
    assert one.content == manifest(facts={"mean": 1.5}, decisive=["mean"]).content


def test_a_manifest_of_an_earlier_release_keeps_its_content():
    values = json.loads(manifest().to_bytes())
    del values["decisive"]
    assert Manifest.from_bytes(json.dumps(values).encode()) == manifest()
    assert manifest().content == (
        "619fceadeeed8bd45921a57b5e0812fbb1e23633be469f79d1a58ed7d0af353b"
    )


@pytest.mark.parametrize("path", [[], ["outputs", 0]])
def test_keys_it_does_not_know_are_refused(path):
    values = json.loads(manifest().to_bytes())
    target = values
    for part in path:
        target = target[part]
    target["surprise"] = 1
    with pytest.raises(ValidationError, match="surprise"):
        Manifest.from_bytes(json.dumps(values).encode())


def test_a_key_it_needs_is_named_when_missing():
    values = json.loads(manifest().to_bytes())
    del values["params_digest"]
    with pytest.raises(ValidationError, match="params_digest"):
        Manifest.from_bytes(json.dumps(values).encode())


def test_an_output_is_found_by_its_name():
    assert manifest().output("quarantine") == BAD


def test_an_output_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(
        DataError, match=r"fraud/validate/2018-07-10.*labels.*transactions, quarantine"
    ):
        manifest().output("labels")
