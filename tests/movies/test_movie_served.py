"""The model after training: its report, its parameters, and its version as MLflow serves it."""

from __future__ import annotations

import json

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from mlflow.models import infer_signature
from movie_world import world

from jobs.usecases.movies import model
from jobs.usecases.movies.params import MoviesPredictParams, MoviesTrainParams
from jobs.usecases.movies.split import split
from jobs.usecases.movies.usecase import USECASE

PARAMS = MoviesTrainParams(threads=1, ranker_rounds=10, ease_regularisation=20)


@pytest.fixture(scope="module")
def halves():
    return split(world(users=60), "time", 0.8, 0)


@pytest.fixture(scope="module")
def fitted(halves):
    return model.fit(halves[0], PARAMS)


def test_the_estimator_fits_stores_and_judges_the_same_model(halves, fitted, tmp_path):
    estimator = USECASE.estimator()
    made = estimator.fit(halves[0], PARAMS)
    assert made.to_bytes() == fitted.to_bytes() and made.booster is None
    loaded = estimator.load(made.to_bytes())
    judged = loaded.judge(*halves)
    assert judged.summary() == model.judge(fitted, *halves).summary()
    assert loaded.parameters(PARAMS) == model.parameters(fitted, PARAMS)
    loaded.report(judged, tmp_path)
    assert (tmp_path / "metrics.json").exists()


def test_the_estimator_refuses_parameters_and_results_of_another_use_case(halves, tmp_path):
    estimator = USECASE.estimator()
    with pytest.raises(TypeError, match="expected MoviesTrainParams"):
        estimator.fit(halves[0], MoviesPredictParams())
    with pytest.raises(TypeError, match="expected JudgedRankings"):
        estimator.fit(halves[0], PARAMS).report(None, tmp_path)


def test_the_report_is_what_was_judged_and_chosen(halves, fitted, tmp_path):
    model.report(fitted, model.judge(fitted, *halves), tmp_path)
    assert (
        json.loads((tmp_path / "metrics.json").read_text())
        == model.judge(fitted, *halves).summary()
    )
    document = json.loads((tmp_path / "hybrid.json").read_text())
    assert (
        document["kind"] == fitted.hybrid.kind and document["validation"] == fitted.hybrid.figures
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hybrid.json", "metrics.json"]


def test_parameters_hold_the_section_and_what_was_chosen(halves, fitted):
    parameters = model.parameters(fitted, PARAMS)
    assert parameters["ranker_rounds"] == 10
    assert (
        parameters["half_life_days"] in PARAMS.half_lives_days
        and parameters["prior"] in PARAMS.priors
    )
    assert parameters["interactions"] == halves[0].num_rows
    assert parameters["users"] == len(set(halves[0]["user_id"].to_pylist()))


@pytest.mark.filterwarnings(
    "ignore::UserWarning"
)  # of MLflow about itself, and about a missing example
def test_a_version_of_mlflow_recommends_as_the_model_does(halves, fitted, tmp_path):
    data = tmp_path / "model"
    data.write_bytes(fitted.to_bytes())
    example = model.example(fitted, halves[0])
    assert 0 < len(example) <= 5
    mlflow.pyfunc.save_model(
        tmp_path / "version",
        loader_module="jobs.usecases.movies.model",
        data_path=str(data),
        signature=infer_signature(example),
        pip_requirements=list(model.REQUIREMENTS),
    )
    some = halves[0].filter(pa.array(np.isin(halves[0]["user_id"].to_numpy(), ["u000", "u007"])))
    frame = some.select(list(example.columns)).to_pandas()
    frame["event_time"] = frame["event_time"].dt.tz_localize(None)
    recommended = mlflow.pyfunc.load_model(str(tmp_path / "version")).predict(frame)
    users = np.array(["u000", "u007"], object)
    expected = pa.concat_tables(model.score(fitted, some, users)).to_pandas()
    pd.testing.assert_frame_equal(recommended, expected, check_dtype=False)
    assert len(recommended) == 2 * 4 * 20
