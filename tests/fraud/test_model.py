"""The model: one table and one params section give the same bytes, which score as before."""

from __future__ import annotations

import json
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from jobs.core.errors import DataError
from jobs.usecases.fraud import metrics, model, report
from jobs.usecases.fraud.columns import CATEGORIES, FEATURES
from jobs.usecases.fraud.params import FraudTrainParams
from kept_checkpoints import Kept

# One thread: while other tests run on few cores, a second one mostly waits.
PARAMS = FraudTrainParams(
    n_estimators=30, max_depth=3, validation_days=3, early_stopping_rounds=5, threads=1
)
NUMBERS = [name for name in FEATURES if name not in CATEGORIES]
START = date(2024, 3, 1)


def examples(seed=0, days=12, rows=1500):
    """Rows of a training set, sorted by key: frauds are many where the first numbers are high."""
    chance = np.random.default_rng(seed)
    columns = {name: np.round(chance.normal(size=rows), 3) for name in NUMBERS}
    columns["merchant_risk_7"][chance.random(rows) < 0.3] = np.nan
    categories = {name: chance.choice(["a", "b", "c"], rows) for name in CATEGORIES}
    odds = 2 * columns["amount"] + (categories["country"] == "c") - 2.5
    fraud = chance.random(rows) < 1 / (1 + np.exp(-odds))
    table = {name: columns.get(name, categories.get(name)) for name in FEATURES} | {
        "transaction_id": [f"t{row:05}" for row in range(rows)],
        "customer_id": [f"c{customer}" for customer in chance.integers(0, 200, rows)],
        "date": [
            START + timedelta(days=int(day)) for day in np.sort(chance.integers(0, days, rows))
        ],
        "is_fraud": fraud,
    }
    return pa.table({name: pa.array(values, from_pandas=True) for name, values in table.items()})


def replaced(table, name, values):
    return table.set_column(table.column_names.index(name), name, values)


@pytest.fixture(scope="module")
def table():
    return examples()


@pytest.fixture(scope="module")
def fitted(table):
    return model.fit(table, PARAMS)


@pytest.fixture(scope="module")
def holdout():
    return examples(seed=1, rows=400)


def test_same_table_and_parameters_same_bytes(table, fitted):
    again = model.fit(examples(), PARAMS)
    assert again.to_bytes() == fitted.to_bytes()
    one_chunk_a_day = pa.concat_tables([table.slice(0, 7), table.slice(7, 600), table.slice(607)])
    assert model.fit(one_chunk_a_day, PARAMS).to_bytes() == fitted.to_bytes()
    assert model.fit(table, PARAMS.model_copy(update={"seed": 5})).to_bytes() != fitted.to_bytes()


def test_the_number_of_threads_does_not_change_the_bytes(table, fitted):
    for threads in (2, 3):
        refitted = model.fit(table, PARAMS.model_copy(update={"threads": threads}))
        assert refitted.to_bytes() == fitted.to_bytes()


def test_rows_are_taken_in_their_order(table, fitted):
    """Another order means another sample of rows for each tree, so the snapshot sorts by key.

    Without sampling, only the rounding of sums differs, and the scores agree closely.
    """
    order = np.random.default_rng(4).permutation(table.num_rows)
    assert model.fit(table.take(order), PARAMS).to_bytes() != fitted.to_bytes()
    whole = PARAMS.model_copy(update={"subsample": 1.0, "colsample_bytree": 1.0})
    one, other = model.fit(table, whole), model.fit(table.take(order), whole)
    np.testing.assert_allclose(model.score(one, table), model.score(other, table), atol=1e-3)


def test_what_was_written_scores_as_it_did(table, fitted, holdout):
    data = fitted.to_bytes()
    loaded = model.load(data)
    assert (loaded.features, loaded.vocabulary) == (fitted.features, fitted.vocabulary)
    assert (loaded.threshold, loaded.rounds) == (PARAMS.threshold, fitted.rounds)
    np.testing.assert_array_equal(model.score(loaded, holdout), model.score(fitted, holdout))
    assert loaded.to_bytes() == data


def test_it_learned_something(fitted, holdout):
    scores = model.score(fitted, holdout)
    assert scores.dtype == np.float64 and ((scores > 0) & (scores < 1)).all()
    assert metrics.roc_auc(model.labels(holdout), scores) > 0.8
    figures = model.judge(fitted, holdout.slice(0, 0), holdout).summary()
    assert figures["roc_auc"] == metrics.roc_auc(model.labels(holdout), scores)


def test_scores_need_neither_labels_nor_the_order_of_columns(fitted, holdout):
    other = holdout.drop_columns("is_fraud").select(
        sorted(set(holdout.column_names) - {"is_fraud"})
    )
    np.testing.assert_array_equal(model.score(fitted, other), model.score(fitted, holdout))
    assert model.score(fitted, holdout.slice(0, 0)).shape == (0,)


def test_an_unseen_category_counts_as_missing(fitted, holdout):
    assert fitted.vocabulary == {name: ["a", "b", "c"] for name in CATEGORIES}
    missing, unseen = (
        replaced(holdout, "country", pa.array([value] * holdout.num_rows, pa.string()))
        for value in (None, "zz")
    )
    np.testing.assert_array_equal(model.score(fitted, unseen), model.score(fitted, missing))
    seen = replaced(holdout, "country", pa.array(["c"] * holdout.num_rows))
    assert (model.score(fitted, seen) != model.score(fitted, missing)).any()


def test_a_missing_feature_is_named(fitted, holdout):
    with pytest.raises(DataError, match=r"amount_z.*lack"):
        model.score(fitted, holdout.drop_columns("amount_z"))


@pytest.mark.parametrize("label", [True, False])
def test_one_class_is_nothing_to_learn_from(table, label):
    rows = replaced(table, "is_fraud", pa.array([label] * table.num_rows))
    with pytest.raises(DataError, match=r"training rows hold .* frauds among 1500"):
        model.fit(rows, PARAMS)


def test_one_class_in_the_days_that_decide_is_named(table):
    late = np.array(table["date"].to_pylist()) >= START + timedelta(days=9)
    rows = replaced(table, "is_fraud", pa.array(model.labels(table).astype(bool) & ~late))
    with pytest.raises(DataError, match="the validation rows hold 0 frauds"):
        model.fit(rows, PARAMS)


def test_early_stopping_stops_early(table, fitted):
    assert 1 <= fitted.rounds <= PARAMS.n_estimators
    many = model.fit(table, PARAMS.model_copy(update={"n_estimators": 500}))
    assert many.rounds < 500
    assert many.booster.num_boosted_rounds() == many.rounds
    few = model.fit(table, PARAMS.model_copy(update={"n_estimators": 2}))
    assert few.rounds <= 2


def test_refit_fits_every_day(table):
    """Without it, what happened on the last days only says when to stop; with it, it is learned."""
    last = pc.greater_equal(table["date"], pa.scalar(START + timedelta(days=9)))
    amounts = pc.if_else(last, pc.add(table["amount_over_mean"], 50.0), table["amount_over_mean"])
    changed = replaced(table, "amount_over_mean", amounts)
    one_round = {"n_estimators": 1}
    without = PARAMS.model_copy(update={"refit": False, **one_round})
    assert model.fit(changed, without).to_bytes() == model.fit(table, without).to_bytes()
    refit = PARAMS.model_copy(update=one_round)
    assert model.fit(table, refit).to_bytes() != model.fit(table, without).to_bytes()
    early, late = model.split_by_day(table, PARAMS.validation_days)
    covers = [
        json.loads(model.fit(table, each).booster.get_dump(dump_format="json", with_stats=True)[0])[
            "cover"
        ]
        for each in (refit, without)
    ]
    assert covers[0] > covers[1]  # the root's weight of rows
    assert early.num_rows + late.num_rows == table.num_rows


@pytest.mark.parametrize(("days", "late"), [(12, 3), (7, 2), (5, 1), (2, 1)])
def test_no_more_than_a_third_of_the_days_decides_when_to_stop(days, late):
    """A week of training, or the first fold of a search, is shorter than what a month can spare."""
    rows = examples(days=days)
    early, stopping = model.split_by_day(rows, PARAMS.validation_days)
    assert len({*stopping["date"].to_pylist()}) == late
    assert len({*early["date"].to_pylist()}) == days - late
    assert max(early["date"].to_pylist()) < min(stopping["date"].to_pylist())


@pytest.mark.parametrize(("days", "trials"), [(7, 0), (28, 2)])
def test_parameters_as_shipped_fit_a_week_and_search_a_month(days, trials):
    assert (
        model.fit(
            examples(days=days), FraudTrainParams(n_estimators=5, search_trials=trials, threads=1)
        ).rounds
        >= 1
    )


def test_names_and_order_of_features_are_kept(fitted):
    assert fitted.features == list(FEATURES) == fitted.booster.feature_names
    assert json.loads(fitted.booster.attr("nightshift"))["features"] == list(FEATURES)


def test_importance_covers_every_feature_largest_first(fitted):
    gains = model.importance(fitted)
    assert set(gains) == set(FEATURES)
    assert list(gains.values()) == sorted(gains.values(), reverse=True)
    assert next(iter(gains)) == "amount"
    assert 0.0 in gains.values()


def test_time_folds_expand_and_do_not_overlap(table):
    folds = model.time_folds(table, 5)
    first, before = START, None
    assert len(folds) == 5
    for fitted_on, tested in folds:
        known, asked = ({*part["date"].to_pylist()} for part in (fitted_on, tested))
        assert min(known) == first
        assert max(known) + timedelta(days=1) == min(asked)
        assert before is None or known == before
        before = known | asked
    assert before == {*table["date"].to_pylist()}
    assert sum(tested.num_rows for _, tested in folds) + folds[0][0].num_rows == table.num_rows


def test_search_is_decided_by_the_seed_and_never_worse_on_its_folds(table):
    params = FraudTrainParams(
        n_estimators=5,
        validation_days=1,
        early_stopping_rounds=3,
        search_trials=3,
        search_folds=2,
        learning_rate=0.001,
        max_depth=1,
        seed=3,
        threads=1,
    )
    best = model.search(table, params)
    assert best == model.search(table, params)
    assert set(best) == set(params.booster)

    def mean(parameters):
        return np.mean(
            [
                metrics.average_precision(
                    model.labels(tested),
                    model.score(model.fit_with(rows, parameters, params), tested),
                )
                for rows, tested in model.time_folds(table, params.search_folds)
            ]
        )

    assert best != params.booster
    assert mean(best) > mean(params.booster)
    alone = params.model_copy(update={"search_trials": 1})
    assert model.search(table, alone) == params.booster
    assert model.fit(table, params).to_bytes() == model.fit_with(table, best, params).to_bytes()


def test_report_leaves_five_pictures_and_two_files(table, fitted, holdout, tmp_path):
    report.write(fitted, model.judge(fitted, table, holdout), tmp_path)
    pictures = {path.stem for path in tmp_path.glob("*.png")}
    assert pictures == {
        "confusion_matrix",
        "roc_curve",
        "precision_recall_curve",
        "calibration_curve",
        "importance",
    }
    from matplotlib.image import imread

    for path in tmp_path.glob("*.png"):
        pixels = imread(path)
        assert pixels.shape[:2] == (450, 540) and pixels.std() > 0.05
    assert json.loads((tmp_path / "importance.json").read_text()) == model.importance(fitted)
    assert json.loads((tmp_path / "feature_names.json").read_text()) == fitted.features
    assert len(list(tmp_path.iterdir())) == 7


def test_parameters_and_example_say_what_was_used(fitted, holdout):
    said = model.parameters(fitted, PARAMS)
    assert said["rounds"] == fitted.rounds and said["max_depth"] == 3
    shown = model.example(fitted, holdout)
    assert (list(shown.columns), len(shown)) == (list(FEATURES), 5)


@pytest.mark.parametrize("search", [0, 2], ids=["refit", "search and refit"])
def test_a_training_that_was_killed_anywhere_goes_on_to_the_same_bytes(table, search):
    params = PARAMS.model_copy(
        update={"checkpoint_rounds": 3, "search_trials": search, "search_folds": 2, "refit": True}
    )
    kept = Kept()
    whole = model.fit(table, params, checkpoints=kept).to_bytes()
    assert {stage.rpartition("-")[0] for stage, _ in kept} >= {"fit", "refit"}
    for count in (1, len(kept) // 3, len(kept) // 2, len(kept) - 1):
        survived = kept.first(count)
        assert model.fit(table, params, checkpoints=survived).to_bytes() == whole
        assert survived.keys() == kept.keys()
