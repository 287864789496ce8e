"""The backtest against the Handbook's own code, transcribed."""

from __future__ import annotations

import json
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from jobs.core.errors import DataError
from jobs.usecases.fraud import backtest, handbook, metrics, model
from jobs.usecases.fraud.backtest import FoldPlan
from jobs.usecases.fraud.columns import CATEGORIES, FEATURES
from jobs.usecases.fraud.params import FraudTrainParams
from jobs.usecases.fraud.sources import SOURCES

START = date(2024, 3, 11)
PLAN = FoldPlan(START, folds=3, train_days=5, delay_days=4, test_days=3)
PARAMS = FraudTrainParams(
    n_estimators=5, max_depth=2, validation_days=2, early_stopping_rounds=3, threads=1
)


@pytest.fixture(scope="module")
def table():
    """Random rows for every day of the span."""
    chance, rows = np.random.default_rng(0), 3000
    span = PLAN.span
    fraud = chance.random(rows) < 0.08
    names = [
        name for name in dict.fromkeys((*FEATURES, *handbook.FEATURES)) if name not in CATEGORIES
    ]
    columns = {name: pa.array(chance.normal(size=rows) + fraud) for name in names}
    return pa.table(
        columns
        | {name: pa.array(chance.choice(["a", "b"], rows)) for name in CATEGORIES}
        | {
            "transaction_id": pa.array([f"t{row:05}" for row in range(rows)]),
            "date": pa.array([span[row % len(span)] for row in range(rows)], pa.date32()),
            "customer_id": pa.array([f"c{number}" for number in chance.integers(0, 250, rows)]),
            "is_fraud": pa.array(fraud),
        }
    )


@pytest.fixture(scope="module")
def folds(table):
    return list(backtest.run(table, PLAN, PARAMS))


def handbook_train_test_set(frame, start, delta_train, delta_delay, delta_test):
    """get_train_test_set of the Handbook's functions; TX_TIME_DAYS counts from the first day."""
    first = (pd.Timestamp(start) - pd.Timestamp(frame.date.min())).days
    tx_time_days = (pd.to_datetime(frame.date) - pd.Timestamp(frame.date.min())).dt.days
    train_df = frame[(tx_time_days >= first) & (tx_time_days < first + delta_train)]
    known_defrauded_customers = set(train_df[train_df.is_fraud].customer_id)
    start_tx_time_days_training = tx_time_days[train_df.index].min()
    test_df = []
    for day in range(delta_test):
        test_df_day = frame[
            tx_time_days == start_tx_time_days_training + delta_train + delta_delay + day
        ]
        test_df_day_delay_period = frame[
            tx_time_days == start_tx_time_days_training + delta_train + day - 1
        ]
        new_defrauded_customers = set(
            test_df_day_delay_period[test_df_day_delay_period.is_fraud].customer_id
        )
        known_defrauded_customers = known_defrauded_customers.union(new_defrauded_customers)
        test_df.append(test_df_day[~test_df_day.customer_id.isin(known_defrauded_customers)])
    return train_df, pd.concat(test_df)


def test_folds_step_back_by_the_length_of_the_test():
    plan = FoldPlan(date(2018, 6, 24), folds=4, train_days=7, delay_days=7, test_days=7)
    for k in range(4):
        train, test = plan.fold(k)
        start = date(2018, 6, 24) - timedelta(days=7 * k)
        assert train == [start + timedelta(days=n) for n in range(7)]
        assert test == [start + timedelta(days=14 + n) for n in range(7)]
    assert (plan.span[0], plan.span[-1], len(plan.span)) == (
        date(2018, 6, 3),
        date(2018, 7, 14),
        42,
    )


def test_train_and_test_rows_are_the_handbooks(table, folds):
    frame = table.to_pandas()
    for k, fold in enumerate(folds):
        start = START - timedelta(days=k * PLAN.test_days)
        train, test = handbook_train_test_set(
            frame, start, PLAN.train_days, PLAN.delay_days, PLAN.test_days
        )
        train_days, test_days = PLAN.fold(k)
        ours = backtest._test_rows(table, PLAN, train_days, test_days)
        assert sorted(ours["transaction_id"].to_pylist()) == sorted(test.transaction_id)
        assert (fold.train[0], fold.rows) == (start, len(test))
        assert fold.test == [test.date.min(), test.date.max()]
        everyone = frame[frame.date.isin(test_days)]
        assert 0 < len(test) < len(everyone)
        # The model of the fold sees the training days and nothing else.
        rows = table.filter(pa.array(frame.index.isin(train.index)))
        scores = model.score(model.fit(rows, PARAMS), ours)
        assert fold.metrics["average_precision"] == metrics.average_precision(
            model.labels(ours), scores
        )


def test_the_baseline_is_a_hundred_trees_of_depth_three_on_fifteen_features(table, folds):
    assert (len(handbook.FEATURES), handbook.TREES, handbook.DEPTH) == (15, 100, 3)
    train_days, test_days = PLAN.fold(0)
    test = backtest._test_rows(table, PLAN, train_days, test_days)
    other = table.filter(pa.array([day in train_days for day in table["date"].to_pylist()]))
    scores = handbook.fit_and_score(other, test, PARAMS.seed, threads=1)
    assert folds[0].baseline["roc_auc"] == pytest.approx(
        metrics.roc_auc(model.labels(test), scores), abs=1e-6
    )


def test_the_summary_holds_what_was_asked_for(folds):
    summary = json.loads(json.dumps(backtest.summarise(folds).as_json()))
    names = {"roc_auc", "average_precision", "card_precision_at_100"}
    assert set(summary) == {"folds", "mean", "std", "baseline", "baseline_std"}
    assert all(set(summary[key]) == names for key in ("mean", "std", "baseline", "baseline_std"))
    assert [set(fold) for fold in summary["folds"]] == [
        {"train", "test", "rows", "rounds", *names}
    ] * 3
    for name in names:
        assert summary["mean"][name] == pytest.approx(sum(fold.metrics[name] for fold in folds) / 3)
        assert summary["std"][name] == pytest.approx(np.std([fold.metrics[name] for fold in folds]))
        assert summary["baseline"][name] == pytest.approx(
            sum(fold.baseline[name] for fold in folds) / 3
        )


@pytest.mark.parametrize("shift", [-60, 3, 60])
def test_a_plan_outside_the_data_says_so(table, shift):
    plan = FoldPlan(START + timedelta(days=shift), 1, 5, 4, 3)
    with pytest.raises(DataError, match="no transactions between"):
        list(backtest.run(table, plan, PARAMS))


def rolling_twin(frame, delay):
    """The Handbook's chapter 3.5 in pandas: rolling windows by customer and, delayed, terminal."""
    parts = []
    for _, rows in frame.groupby("customer_id"):
        rows = rows.sort_values("event_time")
        amounts = rows.set_index("event_time")["amount_minor"]
        for n in handbook.WINDOWS:
            total, count = amounts.rolling(f"{n}d").sum(), amounts.rolling(f"{n}d").count()
            rows[f"handbook_customer_count_{n}"] = count.to_numpy().astype(int)
            rows[f"handbook_customer_mean_{n}"] = (total / count).to_numpy()
        parts.append(rows)
    frame, parts = pd.concat(parts), []
    for _, rows in frame.groupby("merchant_id"):
        rows = rows.sort_values("event_time")
        frauds = rows.set_index("event_time")["is_fraud"].astype(int)
        late_frauds, late = frauds.rolling(f"{delay}d").sum(), frauds.rolling(f"{delay}d").count()
        for n in handbook.WINDOWS:
            count = frauds.rolling(f"{delay + n}d").count() - late
            risk = (frauds.rolling(f"{delay + n}d").sum() - late_frauds) / count
            rows[f"handbook_terminal_count_{n}"] = count.to_numpy().astype(int)
            rows[f"handbook_terminal_risk_{n}"] = risk.fillna(0).to_numpy()
        parts.append(rows)
    return pd.concat(parts)


def test_the_baselines_features_are_the_handbooks(frame):
    """Whole hours, each once, so that many pairs lie exactly a window apart and none is a tie."""
    chance, delay = np.random.default_rng(6), 7
    hours = np.sort(chance.choice(60 * 24, 900, replace=False))
    rows = pd.DataFrame(
        {
            "transaction_id": [f"t{n:03}" for n in range(900)],
            "event_time": pd.Timestamp("2024-02-20", tz="UTC") + pd.to_timedelta(hours, unit="h"),
            "customer_id": [f"c{n}" for n in chance.integers(0, 6, 900)],
            "merchant_id": [f"m{n}" for n in chance.integers(0, 6, 900)],
            "amount_minor": chance.integers(0, 100_000, 900),
            "is_fraud": chance.random(900) < 0.3,
        }
    )
    names = ["transaction_id", "event_time", "customer_id", "merchant_id", "amount_minor"]
    schema = pa.schema([SOURCES[0].schema.field(name) for name in names]).append(
        pa.field("is_fraud", pa.bool_())
    )
    given = frame(pa.Table.from_pandas(rows, schema=schema, preserve_index=False))
    ours = handbook.with_features(given, delay).toArrow().to_pandas()
    ours = ours.set_index("transaction_id").sort_index()
    expected = rolling_twin(rows, delay).set_index("transaction_id").sort_index()
    assert list(ours.index) == list(expected.index)
    for name in handbook.FEATURES[3:]:
        np.testing.assert_allclose(
            ours[name].to_numpy(float), expected[name].to_numpy(float), rtol=1e-9, err_msg=name
        )
    np.testing.assert_array_equal(ours["amount"], expected["amount_minor"] / 100)
    np.testing.assert_array_equal(ours["weekend"], expected["event_time"].dt.dayofweek // 5)
    np.testing.assert_array_equal(ours["night"], (expected["event_time"].dt.hour <= 6).astype(int))
