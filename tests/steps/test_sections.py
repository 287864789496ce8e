"""A night with a bad parameter in any section does not start: extract names the key."""

from __future__ import annotations

from contextlib import suppress
from datetime import date

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from jobs.cli import entry as cli
from jobs.core.errors import ConfigError
from jobs.core.identity import Run
from jobs.core.pipelines import PIPELINES
from jobs.core.settings import PROJECT, Settings
from jobs.core.steps import NIGHTLY
from jobs.steps import frame, sections
from jobs.usecases.discovery import find_usecase
from jobs.usecases.fraud import metrics as fraud_metrics
from jobs.usecases.fraud.evaluation import WEIGHTED
from jobs.usecases.fraud.params import COMPARED as FRAUD_COMPARED
from jobs.usecases.fraud.params import METRICS as FRAUD_METRICS
from jobs.usecases.movies import evaluation
from jobs.usecases.movies.params import COMPARED, METRICS

GIVEN = yaml.safe_load((PROJECT / "params.yaml").read_text())
EVERY = [(pipeline, step) for pipeline in PIPELINES for step in find_usecase(pipeline).params]
ACROSS = {
    "another delay of labels": (
        "fraud",
        {"predict": {"label_delay_days": 3}},
        "fraud.predict.label_delay_days = 3",
    ),
    "a metric of another pipeline": (
        "fraud",
        {"gate": {"metric": "ndcg_at_10"}},
        "fraud.gate.metric = 'ndcg_at_10'",
    ),
    "a metric not to compare in": (
        "movies",
        {"check_drift": {"metric": "coverage"}},
        "movies.check_drift.metric = 'coverage'",
    ),
    "a floor of nothing": (
        "fraud",
        {"gate": {"floors": {"roc_aoc": 0.7}}},
        "fraud.gate.floors.roc_aoc",
    ),
    "a ceiling of nothing": (
        "movies",
        {"gate": {"ceilings": {"novel": 1}}},
        "movies.gate.ceilings.novel",
    ),
    "a column that nobody watches": (
        "fraud",
        {"check_drift": {"thresholds": {"amont": 0.1}}},
        "amont",
    ),
    "a severity for such a column": (
        "movies",
        {"check_drift": {"severities": {"amount": "warn"}}},
        "amount",
    ),
    "a scale upside down": ("movies", {"validate": {"scale": [10, 0]}}, "movies.validate.scale"),
}
APART = {
    "no section": ({"fraud": {"extarct": {}}}, "fraud.extarct"),
    "no day": ({"fraud": {"first_date": "soon"}}, "fraud.first_date"),
    "no size": ({"fraud": {"resources": {"trian": "gpu"}}}, "fraud.resources.trian"),
    "alerts": ({"alerts": {"published_by_hour": 99}}, "alerts.published_by_hour"),
    "an image without a tag": (
        {"kubernetes": {"images": {"training": "nightshift"}}},
        "kubernetes.images.training",
    ),
    "an image that there is not": (
        {"kubernetes": {"sizes": {"gpu": {"image": "x", "cpu": "1", "memory": "1Gi"}}}},
        "kubernetes.sizes.gpu.image",
    ),
}


@pytest.fixture
def refused(tmp_path):
    """What extract says with these sections in place of those of the project's params.yaml."""

    def refuse(pipeline, **changes):
        content = {
            **GIVEN,
            **{name: {**GIVEN.get(name, {}), **part} for name, part in changes.items()},
        }
        file = tmp_path / "params.yaml"
        file.write_text(yaml.safe_dump(content))
        with pytest.raises(ConfigError) as error:
            frame.execute(Run(pipeline, NIGHTLY[0], date(2018, 7, 10)), Settings(tmp_path, file))
        assert error.value.exit_code == 78 and str(file) in str(error.value)
        return error.value.what

    return refuse


def wrong_value(model):
    """(key, invalid value) of a section; a section without keys gets an unknown key."""
    for name in model.model_fields:
        for value in (-1, "no such word", [1, 2, 3, "x"]):
            with suppress(ValueError):
                model.model_validate({name: value})
                continue
            return name, value
    return "nobody_reads_this", 1


@pytest.mark.parametrize(
    ("pipeline", "step"), EVERY, ids=[f"{pipeline}.{step}" for pipeline, step in EVERY]
)
def test_a_wrong_value_of_any_section_stops_the_night_before_its_first_step(
    refused, pipeline, step
):
    key, value = wrong_value(find_usecase(pipeline).params[step])
    valid = GIVEN[pipeline].get(step, {})
    assert f"{pipeline}.{step}.{key}" in refused(
        pipeline, **{pipeline: {step: {**valid, key: value}}}
    )


@pytest.mark.parametrize(("pipeline", "changes", "named"), ACROSS.values(), ids=ACROSS)
def test_so_does_what_contradicts_another_section_or_the_model(refused, pipeline, changes, named):
    merged = {step: {**GIVEN[pipeline].get(step, {}), **part} for step, part in changes.items()}
    assert named in refused(pipeline, **{pipeline: merged})


@pytest.mark.parametrize(("changes", "named"), APART.values(), ids=APART)
def test_so_does_a_section_of_no_step(refused, changes, named):
    assert named in refused("fraud", **changes)


def test_every_wrong_key_of_every_section_is_named_at_once(refused):
    said = refused(
        "fraud",
        fraud={"publish": {"keep_versions": 1}, "verify": {"sample": 0}},
        alerts={"published_by_hour": 0},
    )
    assert all(
        key in said
        for key in ("publish.keep_versions", "verify.sample", "alerts.published_by_hour")
    )


@pytest.mark.parametrize(
    "words", [("run", "fraud", "--date", "2018-07-10"), ("params", "fraud")], ids=["run", "params"]
)
def test_the_command_line_says_so_before_anything_is_opened(tmp_path, monkeypatch, words):
    file = tmp_path / "params.yaml"
    file.write_text(
        yaml.safe_dump({**GIVEN, "fraud": {**GIVEN["fraud"], "publish": {"keep_versions": 1}}})
    )
    monkeypatch.setenv("NIGHTSHIFT_PARAMS", str(file))
    cli._mount()
    with pytest.raises(ConfigError, match=r"fraud\.publish\.keep_versions = 1"):
        CliRunner().invoke(cli.app, list(words), catch_exceptions=False)


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_the_projects_own_file_is_right(pipeline):
    sections.check(PROJECT / "params.yaml", pipeline)


def test_another_step_is_not_stopped_by_a_section_that_it_does_not_read(tmp_path, monkeypatch):
    """A training that fails for a parameter must not cost the day's tables."""
    monkeypatch.delenv("NIGHTSHIFT_POSTGRES_DSN", raising=False)
    file = tmp_path / "params.yaml"
    file.write_text(
        yaml.safe_dump({**GIVEN, "fraud": {**GIVEN["fraud"], "train": {"n_estimators": -1}}})
    )
    with pytest.raises(ConfigError, match="NIGHTSHIFT_POSTGRES_DSN"):
        frame.execute(Run("fraud", "predict", date(2018, 7, 10)), Settings(tmp_path, file))


def test_the_names_of_metrics_are_those_that_models_have():
    labels, scores = np.array([0, 1, 0, 1]), np.array([0.1, 0.9, 0.2, 0.8])
    days, customers = np.array(["2018-07-10"] * 4, "datetime64[D]"), np.array(list("abcd"))
    assert set(fraud_metrics.summary(labels, scores, days, customers, 0.5)) == set(FRAUD_METRICS)
    assert set(WEIGHTED) == set(FRAUD_COMPARED)
    users = 4
    hits = {name: np.zeros((users, 20), bool) for name in evaluation.ALGORITHMS}
    overall = {name: {"coverage": 0.0, "novelty": 0.0} for name in evaluation.ALGORITHMS}
    ones = np.ones(users, int)
    judged = evaluation.JudgedRankings(
        np.arange(users), ones == 1, np.array([0, 1, 5, 20]), ones, hits, overall
    )
    assert set(judged.summary()) == set(METRICS) and set(judged.values("hybrid")) == set(COMPARED)
