"""Watched columns of a transaction: those that exist, and those that mean drift on their own."""

from __future__ import annotations

from datetime import date, timedelta
from functools import partial

import numpy as np
import pyarrow as pa
import pytest

from jobs.core.errors import DataError
from jobs.evaluation import reference
from jobs.evaluation.watched import Watchlist
from jobs.usecases.fraud import drift, features, model
from jobs.usecases.fraud.columns import CATEGORIES, FEATURES
from jobs.usecases.fraud.params import FraudTrainParams
from jobs.usecases.fraud.usecase import USECASE

START, DAYS = date(2024, 3, 1), 12
PARAMS = FraudTrainParams(
    n_estimators=10, max_depth=3, validation_days=3, early_stopping_rounds=5, threads=1
)


def rows(seed=0, count=1200):
    """Rows of a training set; frauds are many where amounts are high."""
    chance = np.random.default_rng(seed)
    numbers = {name: chance.normal(size=count) for name in FEATURES if name not in CATEGORIES}
    categories = {name: chance.choice(["a", "b"], count) for name in CATEGORIES}
    numbers["merchant_days_since_genuine"][::4] = np.nan
    offsets = np.sort(chance.integers(0, DAYS, count))
    table = (
        numbers
        | categories
        | {
            "transaction_id": [f"t{row:05}" for row in range(count)],
            "date": [START + timedelta(days=int(day)) for day in offsets],
            "is_fraud": chance.random(count) < 1 / (1 + np.exp(2 - 2 * numbers["amount"])),
        }
    )
    return pa.table({name: pa.array(values, from_pandas=True) for name, values in table.items()})


@pytest.fixture(scope="module")
def table():
    return rows()


@pytest.fixture(scope="module")
def fitted(table):
    return model.fit(table, PARAMS)


def test_every_watched_column_is_among_the_examples(table, fitted):
    predicted = drift.predictions(fitted, drift.examples(table, START), table)
    watched = (*drift.FEATURES, *drift.PREDICTIONS, drift.LABEL)
    assert {each.name for each in watched} <= set(predicted.column_names)
    assert len({each.name for each in watched}) == len(watched)


def test_examples_are_those_since_the_day(table):
    examples = drift.examples(table, START + timedelta(days=10))
    assert set(examples["date"].to_pylist()) == {
        START + timedelta(days=10),
        START + timedelta(days=11),
    }


def test_a_merchant_is_unproven_until_a_transaction_of_it_is_known_to_be_genuine(table):
    examples = drift.examples(table, START)
    unknown = table["merchant_days_since_genuine"].is_null().to_pylist()
    assert examples["merchant_unproven"].to_pylist() == [
        "yes" if each else "no" for each in unknown
    ]


def test_a_column_that_is_gone_is_left_out_and_scores_cannot_be_had(table, fitted):
    examples = drift.examples(table.drop_columns(["amount", "merchant_days_since_genuine"]), START)
    assert not {"amount", "merchant_unproven"} & set(examples.column_names)
    with pytest.raises(DataError, match="fitted on amount"):
        drift.predictions(fitted, examples, table)


@pytest.fixture
def splits(table):
    """Nine days to fit on, three to judge on."""
    early = np.asarray([each < START + timedelta(days=9) for each in table["date"].to_pylist()])
    return table.filter(pa.array(early)), table.filter(pa.array(~early))


def test_the_estimator_fits_stores_and_scores_the_same_model(table, fitted):
    estimator = USECASE.estimator()
    made = estimator.fit(table, PARAMS)
    assert made.to_bytes() == fitted.to_bytes()
    loaded, examples = estimator.load(made.to_bytes()), estimator.examples(table, START)
    scored = loaded.with_predictions(examples, table)
    assert scored.equals(drift.predictions(fitted, drift.examples(table, START), table))
    assert loaded.decisions() == model.decisions(fitted)


def reference_of(fitted, train, holdout, baseline):
    watchlist = Watchlist(drift.FEATURES, drift.PREDICTIONS, drift.LABEL)
    predicted = partial(drift.predictions, fitted)
    return reference.of(
        watchlist, features.KEY, drift.examples, predicted, train, holdout, baseline
    )


def test_the_reference_has_a_sample_of_each_split_and_scores_of_the_holdout_alone(splits, fitted):
    train, holdout = splits
    made = reference_of(fitted, train, holdout, {"roc_auc": 0.9, "none": float("nan")})
    early, late = made.of("train"), made.of("holdout")
    assert (early.num_rows, late.num_rows) == (train.num_rows, holdout.num_rows)
    assert (early["score"].null_count, late["score"].null_count) == (train.num_rows, 0)
    assert made.baseline == {"roc_auc": 0.9} and made.fitted_until == max(train["date"].to_pylist())
    assert made.holdout_days == 3
    backwards = train.take(pa.array(range(train.num_rows - 1, -1, -1)))
    again = reference_of(fitted, backwards, holdout, {"roc_auc": 0.9})
    assert again.to_bytes() == made.to_bytes()


def test_the_reference_is_capped(splits, fitted, monkeypatch):
    monkeypatch.setattr(reference, "ROWS", 100)
    made = reference_of(fitted, *splits, {})
    assert (made.of("train").num_rows, made.of("holdout").num_rows) == (100, 100)
